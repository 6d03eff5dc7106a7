import assert from "node:assert/strict";
import { test } from "node:test";
import type { TapRequest } from "@weft/api/light";
import fc from "fast-check";
import { Ranking } from "./ranking.ts";

const request = (path: string, more: Partial<TapRequest> = {}) =>
  ({
    from: "web.default",
    to: "users.default",
    port: 80,
    method: "GET",
    path,
    status: 200,
    grpcStatus: null,
    error: "",
    latencyMs: 1,
    ...more,
  }) as TapRequest;

test("requests of one kind are one row, with best, worst and last latency and failures", () => {
  const ranking = new Ranking();
  for (const [id, latencyMs, status] of [
    [1, 5, 200],
    [2, 2, 503],
    [3, 9, 200],
    [4, 3, 404],
  ] as const) {
    ranking.add(request(`/users/${id}`, { latencyMs, status }));
  }
  const [row] = ranking.top(1).rows;
  assert.deepEqual(row, {
    from: "web.default",
    to: "users.default",
    port: 80,
    method: "GET",
    path: "/users/:id",
    count: 4,
    failures: 1,
    bestMs: 2,
    worstMs: 9,
    lastMs: 3,
  });
});

test("what comes most often is kept among a million kinds, in bounded memory, and the others are counted together", () => {
  const ranking = new Ranking(100);
  const total = 1_000_000;
  for (let index = 0; index < total; index++) ranking.add(request(index % 10 === 0 ? "/hot" : `/cold-${index}-x`));
  const { rows, other } = ranking.top(1000);
  assert.ok(rows.length <= 100);
  assert.deepEqual([rows[0]?.path, rows[0]?.count], ["/hot", total / 10]);
  assert.equal(rows.reduce((sum, { count }) => sum + count, 0) + (other?.count ?? 0), total);
});

test("no request is lost or counted twice, whatever comes and however few rows are kept", () => {
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom(..."abcdefghij")),
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 1, max: 5 }),
      (paths, max, shown) => {
        const ranking = new Ranking(max);
        for (const path of paths) ranking.add(request(`/${path}`));
        const { rows, other } = ranking.top(shown);
        assert.ok(rows.length <= shown);
        assert.equal(rows.reduce((sum, { count }) => sum + count, 0) + (other?.count ?? 0), paths.length);
      },
    ),
  );
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { type Edge, isClear } from "./stats.ts";

test("calls are in clear only where a connection was opened without mutual TLS", () => {
  const edge = (secured: boolean, opened: number) => ({ secured, totals: { connections: { opened } } }) as Pick<Edge, "secured" | "totals">;
  assert.equal(isClear(edge(false, 3)), true);
  assert.equal(isClear(edge(true, 3)), false);
  assert.equal(isClear(edge(false, 0)), false, "calls that reached nobody leaked nothing");
});

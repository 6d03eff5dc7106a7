import assert from "node:assert/strict";
import { test } from "node:test";
import { leafLifeMs } from "./ca/authority.ts";
import type { WorkloadRecord } from "./model/records.ts";
import { maxTombstones, Tombstones } from "./tombstones.ts";

const workload = (id: string, pid = 1) => ({ id, service: "users", namespace: "default", pid }) as WorkloadRecord;
const now = Date.parse("2026-11-22T12:00:00Z");
const later = now + leafLifeMs + 3600_000;

function tombstones(isAlive: (pid: number) => boolean = () => false) {
  let revision = 0;
  return new Tombstones([], { isAlive }, () => ++revision);
}

test("certificates are refused until the last of them has expired", () => {
  const all = tombstones();
  all.add(all.of(workload("w-1"), now), []);
  assert.deepEqual(
    all.revocations(now + leafLifeMs).map(({ id }) => id),
    ["w-1"],
  );
  assert.deepEqual(all.revocations(later), []);
});

test("a tombstone stays as long as a launcher runs that would register its workload anew", () => {
  const all = tombstones((pid) => pid === 1);
  all.add(all.of(workload("w-1", 1), now), []);
  all.add(all.of(workload("w-2", 2), now), []);
  assert.deepEqual(all.outdated(now), []);
  assert.deepEqual(
    all.outdated(later).map(({ id }) => id),
    ["w-2"],
  );
  all.add(all.of(workload("w-3"), later), all.outdated(later));
  assert.deepEqual(
    ["w-1", "w-2", "w-3"].filter((id) => all.has(id)),
    ["w-1", "w-3"],
  );
});

test("there are never very many, and each raises the revision", () => {
  const all = tombstones();
  const first = all.revision;
  for (let index = 0; index < maxTombstones; index++) all.add(all.of(workload(`w-${index}`), now), []);
  assert.equal(all.revision, first + maxTombstones);
  assert.throws(() => all.of(workload("w-more"), now), { code: "WEFT-C-TOO-MANY" });
  assert.equal(all.of(workload("w-more"), later).id, "w-more");
});

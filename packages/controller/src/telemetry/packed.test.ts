import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { pack, visitPacked } from "./packed.ts";
import type { Pairs } from "./pairs.ts";

const pairs = fc
  .uniqueArray(fc.tuple(fc.nat(5000), fc.oneof(fc.nat(300), fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }))), {
    selector: ([place]) => place,
  })
  .map((list) => list.toSorted(([a], [b]) => a - b).flat());

test("what was packed comes back as it was, however large the counts", () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.tuple(fc.nat(100_000), pairs), { selector: ([series]) => series }), (list) => {
      const unpacked = new Map<number, Pairs>();
      visitPacked(pack(new Map(list)), (series, cell) => unpacked.set(series, cell));
      assert.deepEqual([...unpacked], list);
    }),
  );
});

test("a usual cell takes about three bytes a number instead of sixteen", () => {
  const cell = Array.from({ length: 40 }, (_, index) => [16 + 3 * index, 1 + (index % 7)]).flat();
  assert.ok(pack(new Map([[7, cell]])).length <= 3 * 40 + 4);
});

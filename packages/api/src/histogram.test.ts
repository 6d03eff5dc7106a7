import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  bucketBounds,
  bucketOf,
  count,
  decodeHistogram,
  emptyHistogram,
  encodeHistogram,
  maxBucket,
  merge,
  quantile,
  record,
} from "./histogram.ts";

const value = fc.oneof(fc.nat(200), fc.nat(2 ** 31 - 1), fc.maxSafeNat());
const values = fc.array(value, { maxLength: 200 });

function of(list: number[]) {
  const histogram = emptyHistogram();
  for (const each of list) record(histogram, each);
  return histogram;
}

test("a value lies within the bounds of its bucket, whose middle is within 0.8 % of it", () => {
  fc.assert(
    fc.property(value, (v) => {
      const { low, width } = bucketBounds(bucketOf(v));
      assert.ok(low <= v && v < low + width);
      assert.ok(Math.abs(low + (width - 1) / 2 - v) <= 0.008 * v);
    }),
  );
});

test("buckets are contiguous: each begins where the one before ends", () => {
  for (let index = 1; index <= bucketOf(Number.MAX_SAFE_INTEGER); index++) {
    const before = bucketBounds(index - 1);
    assert.equal(bucketBounds(index).low, before.low + before.width);
    assert.equal(bucketOf(bucketBounds(index).low), index);
  }
});

test("the index is that of the formula of telemetry.proto", () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 64n, max: BigInt(Number.MAX_SAFE_INTEGER) }), (v) => {
      const e = BigInt(v.toString(2).length - 1);
      assert.equal(BigInt(bucketOf(Number(v))), 64n + 64n * (e - 6n) + ((v >> (e - 6n)) - 64n));
    }),
  );
  assert.equal(maxBucket, 64 + 64 * (63 - 6) + 63);
});

test("merging is the same as recording everything in one", () => {
  fc.assert(
    fc.property(values, values, (a, b) => {
      const merged = of(a);
      merge(merged, of(b));
      assert.deepEqual(new Map([...merged.counts].sort()), new Map([...of([...a, ...b]).counts].sort()));
      assert.equal(count(merged), a.length + b.length);
    }),
  );
});

test("a quantile is within 0.8 % of the value of that rank", () => {
  fc.assert(
    fc.property(fc.array(value, { minLength: 1, maxLength: 200 }), fc.double({ min: 0, max: 1, noNaN: true }), (list, q) => {
      const sorted = [...list].sort((a, b) => a - b);
      const rank = Math.min(sorted.length, Math.max(1, Math.ceil(q * sorted.length - 1e-6)));
      const exact = sorted[rank - 1] as number;
      const found = quantile(of(list), q) as number;
      assert.ok(Math.abs(found - exact) <= 0.008 * exact, `${found} is not ${exact}`);
    }),
  );
  assert.equal(quantile(emptyHistogram(), 0.5), undefined);
});

test("what is encoded is decoded the same", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(2 ** 40), { maxLength: 100 }), (list) => {
      const histogram = of(list);
      assert.deepEqual(decodeHistogram(encodeHistogram(histogram)), [...histogram.counts].sort(([a], [b]) => a - b).flat());
    }),
  );
});

test("histograms that do not fit the scheme are refused", () => {
  assert.equal(decodeHistogram({ indexDeltas: [1], counts: [], sum: 0n }), undefined);
  assert.equal(decodeHistogram({ indexDeltas: [maxBucket + 1], counts: [1n], sum: 0n }), undefined);
  assert.equal(decodeHistogram({ indexDeltas: [3, 0], counts: [1n, 1n], sum: 0n }), undefined);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { age, count, duration, percent, rate } from "./numbers.ts";

test("100 % means that nothing failed", () => {
  assert.equal(percent(1), "100 %");
  assert.equal(percent(0.999999), "99.99 %");
  assert.equal(percent(0), "0.00 %");
  assert.equal(percent(null), "-");
});

test("durations have three digits and a unit that fits", () => {
  const shown = [0.05, 0.9994, 1, 9.876, 98.76, 999.4, 999.6, 12_345, null].map(duration);
  assert.deepEqual(shown, ["50µs", "999µs", "1.00ms", "9.88ms", "98.8ms", "999ms", "1.00s", "12.3s", "-"]);
});

test("rates and counts are easy to read", () => {
  assert.deepEqual([0, 0.25, 59.96, 1234.5].map(rate), ["0.0", "0.3", "60.0", "1235"]);
  assert.deepEqual([0, 1234567].map(count), ["0", "1,234,567"]);
});

test("ages use the largest unit that fits", () => {
  assert.deepEqual(
    [5, 119, 120, 7200, 172_800].map((seconds) => age(0, seconds * 1000)),
    ["5s", "119s", "2m", "2h", "2d"],
  );
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { milliseconds, none, percent, rate } from "./format.ts";
import { events } from "./streams.ts";

test("a share is never rounded up to all", () => {
  assert.equal(percent(1), "100 %");
  assert.equal(percent(0.999999), "99.99 %");
  assert.equal(percent(0), "0.00 %");
});

test("nothing measured is no number", () => {
  assert.equal(percent(null), none);
  assert.equal(milliseconds(null), none);
});

test("something is never shown as zero", () => {
  assert.equal(rate(0), "0");
  assert.equal(rate(0.01), "<0.1");
});

test("events are found however the stream is cut", async () => {
  async function* chunks() {
    yield* ["da", 'ta: {"a":1}\n', "\n: comment\n\ndata: 2\n\nda", "ta: cut off"];
  }
  const found = [];
  for await (const data of events(chunks())) found.push(data);
  assert.deepEqual(found, ['{"a":1}', "2"]);
});

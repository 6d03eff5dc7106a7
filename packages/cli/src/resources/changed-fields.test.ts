import assert from "node:assert/strict";
import { test } from "node:test";
import { changedFields, changeWords } from "./changed-fields.ts";

const words = (before: unknown, after: unknown) => changedFields(before, after).map(changeWords);

test("the innermost fields that differ, from what to what", () => {
  assert.deepEqual(words({ a: { b: 1, c: "x" }, d: 1 }, { a: { b: 2, c: "y" }, d: 1 }), ["a.b: 1 -> 2", "a.c: x -> y"]);
  assert.deepEqual(words({ list: [{ a: 1 }, { a: 2 }] }, { list: [{ a: 1 }, { a: 3 }] }), ["list[1].a: 2 -> 3"]);
});

test("what came and went, and lists that have more or fewer items", () => {
  assert.deepEqual(words({ a: 1 }, { b: 1, c: { d: 1 } }), ["a removed", "b added: 1", "c added"]);
  assert.deepEqual(words({ list: [1] }, { list: [1, 2] }), ["list changed"]);
  assert.deepEqual(words({ a: "text" }, { a: { b: 1 } }), ["a changed"]);
});

test("a long text is cut, and nothing is said of what is the same", () => {
  assert.match(words({ a: "" }, { a: "x".repeat(1000) })[0] ?? "", /^a: {2}-> x{80}…$/);
  assert.deepEqual(words({ a: [{}] }, { a: [{}] }), []);
});

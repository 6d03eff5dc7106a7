import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { foldPath } from "./fold.ts";

test("what names one thing only becomes :id, and the query goes", () => {
  for (const [path, folded] of [
    ["/", "/"],
    ["", ""],
    ["/users/42?full=1", "/users/:id"],
    ["/users/6f1e2c5a-0b1d-4c3e-9f8a-7b6c5d4e3f2a/orders/7", "/users/:id/orders/:id"],
    ["/blob/deadbeef01", "/blob/:id"],
    ["/t/01ARZ3NDEKTSV4RRFFQ69G5FAV", "/t/:id"],
    ["/v1/users", "/v1/users"],
    ["/decade/facade/feedbeef", "/decade/facade/feedbeef"],
    ["/weft.v1.Tap/Serve", "/weft.v1.Tap/Serve"],
    ["/a/b/c/d/e/f/g/h/i/j", "/a/b/c/d/e/f/g/h/…"],
  ] as const) {
    assert.equal(foldPath(path), folded);
  }
});

test("whatever the path, the fold is short, folds no further, and does not depend on the query", () => {
  const path = fc.oneof(fc.string({ unit: "binary" }), fc.webPath(), fc.string({ minLength: 5000, maxLength: 60_000 }));
  fc.assert(
    fc.property(path, (text) => {
      const folded = foldPath(text);
      assert.ok(folded.length <= 120);
      assert.equal(foldPath(folded), folded);
      if (!/[?#]/.test(text)) assert.equal(foldPath(`${text}?x=1`), folded);
    }),
  );
});

test("numbers, however many, are one kind", () => {
  fc.assert(fc.property(fc.nat(), fc.uuid(), (number, uuid) => foldPath(`/a/${number}/b/${uuid}`) === "/a/:id/b/:id"));
});

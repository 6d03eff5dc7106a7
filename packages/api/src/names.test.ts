import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { nameProblem, nearest, suggestName } from "./names.ts";

test("DNS labels are names", () => {
  for (const name of ["a", "users", "users-2", "0", "x".repeat(63)]) assert.equal(nameProblem(name), undefined, name);
});

test("what is no DNS label is refused with the reason", () => {
  assert.match(nameProblem("") ?? "", /empty/);
  assert.match(nameProblem("Users") ?? "", /upper-case/);
  assert.match(nameProblem("-users") ?? "", /hyphen/);
  assert.match(nameProblem("users_1") ?? "", /"_"/);
  assert.match(nameProblem("a.b") ?? "", /"\."/);
  assert.match(nameProblem("x".repeat(64)) ?? "", /64 characters/);
});

test("a suggested name is always valid", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 100 }), (name) => {
      const suggestion = suggestName(name);
      if (suggestion !== undefined) assert.equal(nameProblem(suggestion), undefined);
    }),
  );
  assert.equal(suggestName("My_Service"), "my-service");
});

test("the nearest known name is found, and nothing when all are far", () => {
  assert.equal(nearest("usres", ["orders", "users", "web"]), "users");
  assert.equal(nearest("users", ["payments", "web"]), undefined);
  assert.equal(nearest("tpo", ["up", "tap", "top"]), "top");
  assert.equal(nearest("db", ["web", "up"]), undefined);
});

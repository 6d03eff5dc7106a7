import assert from "node:assert/strict";
import { test } from "node:test";
import { findService, shortName, shownName } from "./names.ts";

const services = [
  { name: "users", namespace: "default" },
  { name: "users", namespace: "team" },
  { name: "payments", namespace: "default" },
];

test("the default namespace goes without saying", () => {
  assert.equal(shownName({ name: "users", namespace: "default" }), "users");
  assert.equal(shownName({ name: "users", namespace: "team" }), "users.team");
  assert.equal(shortName("users.default"), "users");
  assert.equal(shortName("example.com:443"), "example.com:443");
});

test("a service is found by any of its names", () => {
  assert.equal(findService("users", services), services[0]);
  assert.equal(findService("users.default", services), services[0]);
  assert.equal(findService("users.team", services), services[1]);
});

test("an unknown service is refused with the nearest name", () => {
  assert.throws(() => findService("paymnets", services), {
    code: "WEFT-L-SERVICE-UNKNOWN",
    message: /"paymnets"\. Did you mean "payments"\?/,
  });
  assert.throws(() => findService("zzzzzzzz", services), { message: /^No service is called "zzzzzzzz"\.$/ });
});

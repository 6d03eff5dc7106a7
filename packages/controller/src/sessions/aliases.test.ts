import assert from "node:assert/strict";
import { test } from "node:test";
import { targetOf } from "./aliases.ts";

test("names mean services, in the caller's namespace unless they say another; addresses mean whatever is behind them", () => {
  const service = (name: string) => ({ service: name });
  for (const [alias, target] of [
    ["users", service("users.shop")],
    ["USERS.", service("users.shop")],
    ["users.weft", service("users.shop")],
    ["users.default", service("users.default")],
    ["users.default.weft.", service("users.default")],
    ["198.18.0.7", { address: "198.18.0.7" }],
    ["127.0.0.1:8080", { address: "127.0.0.1:8080" }],
    ["users.default.example", undefined],
    ["a.b.c.weft", undefined],
    ["", undefined],
    ["127.0.0.1:0", undefined],
    ["us_ers", undefined],
  ] as const)
    assert.deepEqual(targetOf(alias, "shop"), target, alias);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { Published } from "./published.ts";

test("a port is that of the workload that published it last, and passes back when that one ends", () => {
  const published = new Published();
  assert.deepEqual(
    [...published.set("w-1", "users.default", [8080, 8081])],
    [
      [8080, "users.default"],
      [8081, "users.default"],
    ],
  );
  assert.deepEqual([...published.set("w-2", "orders.default", [8080])], [[8080, "orders.default"]]);
  assert.deepEqual(
    [...published.set("w-1", "users.default", [8080, 8081])],
    [
      [8080, "orders.default"],
      [8081, "users.default"],
    ],
  );
  assert.deepEqual([...published.set("w-2", "orders.default", [])], [[8080, "users.default"]]);
  assert.deepEqual(
    [...published.set("w-1", "users.default", [])],
    [
      [8080, undefined],
      [8081, undefined],
    ],
  );
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { endpointHash, fnv1a64 } from "./digest.ts";

test("the hash is FNV-1a 64: the published vectors", () => {
  assert.equal(fnv1a64(""), 0xcbf29ce484222325n);
  assert.equal(fnv1a64("a"), 0xaf63dc4c8601ec8cn);
  assert.equal(fnv1a64("foobar"), 0x85944171f73967e8n);
});

test("the hash of a set does not depend on its order", () => {
  const [a, b] = ["a", "b"].map((id) => ({
    id,
    address: "",
    inboundPort: 0,
    identity: "",
    ports: [],
  })) as [never, never];
  assert.equal(endpointHash([a, b]), endpointHash([b, a]));
  assert.equal(endpointHash([a, b]), fnv1a64("a") ^ fnv1a64("b"));
});

import assert from "node:assert/strict";
import { isIPv4 } from "node:net";
import { test } from "node:test";
import fc from "fast-check";
import { addressAt, allocateAddress, virtualPrefix } from "./addresses.ts";

test("addresses are of the range, and none is given twice until all were", () => {
  const given = new Set<string>();
  let cursor = 0;
  for (;;) {
    const next = allocateAddress(virtualPrefix, cursor, (address) => given.has(address));
    if (next === undefined) break;
    assert.ok(isIPv4(next.address) && next.address.startsWith("198.18.") && !/\.(0|255)$/.test(next.address), next.address);
    given.add(next.address);
    cursor = next.cursor;
    if (given.size > 3000) break;
  }
  assert.equal(given.size, 3001);
});

test("what is taken is passed over, wherever the search begins; nothing is found only when all is taken", () => {
  fc.assert(
    fc.property(fc.nat(256 * 254 - 1), fc.nat(20), (cursor, run) => {
      const taken = new Set(Array.from({ length: run }, (_, step) => addressAt(virtualPrefix, (cursor + step) % (256 * 254))));
      const found = allocateAddress(virtualPrefix, cursor, (address) => taken.has(address));
      assert.equal(found?.address, addressAt(virtualPrefix, (cursor + run) % (256 * 254)));
    }),
    { numRuns: 50 },
  );
  assert.equal(
    allocateAddress(virtualPrefix, 5, () => true),
    undefined,
  );
});

import assert from "node:assert/strict";
import { isIP } from "node:net";
import { test } from "node:test";
import fc from "fast-check";
import { bytesOf, isNetwork, isSpecialAddress } from "./addresses.ts";

test("addresses are what the system takes for some, but for IPv4 within IPv6", () => {
  const parts = fc
    .array(fc.constantFrom("0", "1", "10", "255", "256", "01", "fd00", "ffff", ".", ":", "::", "G"), { maxLength: 12 })
    .map((each) => each.join(""));
  fc.assert(
    fc.property(fc.oneof(parts, fc.ipV4(), fc.ipV6(), fc.string()), (text) => {
      const length = bytesOf(text)?.length;
      const version = isIP(text);
      if (length === undefined) assert.ok(version === 0 || /ffff|%/i.test(text), text);
      else assert.equal(length, version === 4 ? 4 : 16, text);
    }),
    { numRuns: 2000 },
  );
  assert.deepEqual(bytesOf("FD00:0:0::0a01"), [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x0a, 0x01]);
  for (const none of ["::ffff:10.0.0.1", "010.0.0.1", "10.0.0.1.", "10.0.0", "fe80::1%eth0", "", " 10.0.0.1"])
    assert.equal(bytesOf(none), undefined, none);
});

test("special addresses lead each caller elsewhere", () => {
  const special = [
    "127.0.0.1",
    "127.255.0.1",
    "169.254.1.1",
    "224.0.0.1",
    "0.0.0.0",
    "::",
    "::1",
    "0:0:0:0:0:0:0:1",
    "fe80::1",
    "FEBF::1",
    "ff02::1",
  ];
  for (const address of special) assert.ok(isSpecialAddress(address), address);
  for (const address of ["10.0.0.1", "128.0.0.1", "224.0.1.1", "::2", "fec0::1", "ff05::1"]) assert.ok(!isSpecialAddress(address), address);
});

test("a range has nothing set beyond its prefix", () => {
  for (const range of ["10.0.0.0/8", "0.0.0.0/0", "10.0.0.1/32", "fd00::/8", "::/0", "10.128.0.0/9"]) assert.ok(isNetwork(range), range);
  for (const none of ["10.0.0.1/8", "10.0.0.0/33", "10.0.0.0", "10.0.0.0/08", "fd00::1/64", "a/8", "10.0.0.0/8/8", "10.0.0.0/"])
    assert.ok(!isNetwork(none), none);
});

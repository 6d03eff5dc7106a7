import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseFieldMatch, parseStatusRange } from "./tap.ts";

test("a status is one, a class, or a range", () => {
  assert.deepEqual(parseStatusRange("500"), { min: 500, max: 500 });
  assert.deepEqual(parseStatusRange("5xx"), { min: 500, max: 599 });
  assert.deepEqual(parseStatusRange("4XX"), { min: 400, max: 499 });
  assert.deepEqual(parseStatusRange("200-299"), { min: 200, max: 299 });
  for (const text of ["", "0", "50", "5000", "xx", "0xx", "299-200", "200-", "200-29", "-5", "5xx-6xx"]) {
    assert.equal(parseStatusRange(text), undefined, text);
  }
});

test("a field is a name, and what follows the first equals sign is its value", () => {
  assert.deepEqual(parseFieldMatch("X-Test"), { name: "x-test" });
  assert.deepEqual(parseFieldMatch("cookie=a=b"), { name: "cookie", value: "a=b" });
  assert.deepEqual(parseFieldMatch("x-empty="), { name: "x-empty", value: "" });
  for (const text of ["", "=a", "a b", "a:b", "ä", "a\x1b"]) assert.equal(parseFieldMatch(text), undefined, text);
});

test("whatever is given, a range is one of three-digit statuses in order, and a name one that a field may have", () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[0-9x-]{1,8}$/)), (text) => {
      const range = parseStatusRange(text);
      if (range !== undefined) assert.ok(100 <= range.min && range.min <= range.max && range.max <= 999);
      const match = parseFieldMatch(text);
      if (match !== undefined) assert.doesNotThrow(() => new Headers([[match.name.replace(/^:/, ""), "x"]]));
    }),
  );
});

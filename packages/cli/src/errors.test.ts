import assert from "node:assert/strict";
import { test } from "node:test";
import { weftError } from "@weft/api/light";
import { cliErrorCatalogue, describe, exitCode, usageError } from "./errors.ts";

test("an error says what happened, what to do next, and its code", () => {
  assert.equal(
    describe(usageError("Unknown option '--prot'.", "`weft help run` shows examples")),
    "weft: Unknown option '--prot'. `weft help run` shows examples. (WEFT-L-USAGE)",
  );
});

test("what was not understood has exit code 2, what failed 1", () => {
  assert.equal(exitCode(usageError("x")), 2);
  assert.equal(exitCode(weftError("WEFT-C-NAME-INVALID", "x")), 2);
  assert.equal(exitCode(weftError("WEFT-L-CONTROLLER-NOT-RUNNING", "x")), 1);
  assert.equal(exitCode(new Error("x")), 1);
});

test("a fault shows where it came from, and that it is ours", () => {
  assert.match(describe(new TypeError("oops")), /^weft: TypeError: oops.*errors\.test\.ts.*\(WEFT-L-INTERNAL\)$/s);
});

test("every code has a meaning and an action", () => {
  for (const [code, { meaning, action }] of Object.entries(cliErrorCatalogue)) {
    assert.match(code, /^WEFT-L-[A-Z-]+$/);
    assert.ok(meaning.endsWith(".") && action.endsWith("."), code);
  }
});

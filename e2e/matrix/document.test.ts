import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { root } from "@weft/testkit";
import { matrixDocument } from "./document.ts";

test("docs/matrix.md says what the tests of the matrix do", () => {
  const file = join(root, "docs", "matrix.md");
  if (process.env.WEFT_WRITE) writeFileSync(file, matrixDocument());
  assert.equal(readFileSync(file, "utf8"), matrixDocument(), "write it anew: WEFT_WRITE=1 npm test -- --match matrix/document");
});

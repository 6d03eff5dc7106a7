import assert from "node:assert/strict";
import { test } from "node:test";
import { explained, meaningOf, meaningsIn } from "./reasons.ts";

test("codes are explained in the words of docs/errors.md, without the status", () => {
  assert.equal(meaningOf("WEFT-P-NO-ENDPOINT"), "no instance of the service serves this port now");
  assert.equal(meaningOf("WEFT-P-CLIENT-GONE"), "The client left before the response was complete");
  assert.equal(explained("WEFT-P-OTHER"), "WEFT-P-OTHER");
});

test("the rows of a page are read, and nothing else", () => {
  const page =
    "| Code | Meaning | What to do |\n|---|---|---|\n| `WEFT-P-A` | 503, or a peer turned away: no certificate yet. | Wait. |\n`WEFT-P-B` is none.\n";
  assert.deepEqual([...meaningsIn(page)], [["WEFT-P-A", "no certificate yet"]]);
});

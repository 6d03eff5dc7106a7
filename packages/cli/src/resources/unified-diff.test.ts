import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { compare, unifiedDiff } from "./unified-diff.ts";

const shown = (before: string, after: string) =>
  unifiedDiff(before, after).map(({ mark, text }) => (mark === "@" ? text : `${mark}${text}`));

test("what differs is shown with three lines around it", () => {
  const lines = ["a", "b", "c", "d", "e", "f", "g", "h"];
  assert.deepEqual(shown(`${lines.join("\n")}\n`, `${lines.join("\n").replace("e", "E")}\n`), [
    "@@ -2,7 +2,7 @@",
    " b",
    " c",
    " d",
    "-e",
    "+E",
    " f",
    " g",
    " h",
  ]);
});

test("changes far from each other are two parts", () => {
  const many = Array.from({ length: 20 }, (_, index) => String(index));
  const changed = many.with(0, "first").with(19, "last");
  assert.deepEqual(
    shown(many.join("\n"), changed.join("\n")).filter((line) => line.startsWith("@")),
    ["@@ -1,4 +1,4 @@", "@@ -17,4 +17,4 @@"],
  );
});

test("texts that are equal, and such as are only on one side", () => {
  assert.deepEqual(shown("a\n", "a\n"), []);
  assert.deepEqual(shown("", "a\nb\n"), ["@@ -0,0 +1,2 @@", "+a", "+b"]);
  assert.deepEqual(shown("a\n", ""), ["@@ -1,1 +0,0 @@", "-a"]);
});

const lines = fc.array(fc.constantFrom("a", "b", "c", "d"), { maxLength: 30 });

test("both texts are in a comparison, whole and in order, and no line of both is missed that the longest common part has", () => {
  fc.assert(
    fc.property(lines, lines, (before, after) => {
      const compared = compare(before, after);
      const side = (other: string) => compared.filter(({ mark }) => mark !== other).map(({ text }) => text);
      assert.deepEqual(side("+"), before);
      assert.deepEqual(side("-"), after);
      assert.equal(compared.filter(({ mark }) => mark === " ").length, longestCommon(before, after));
    }),
    { numRuns: 2000 },
  );
});

/** Length of the longest common subsequence, by the table that everybody knows. */
function longestCommon(a: readonly string[], b: readonly string[]): number {
  let row = Array<number>(b.length + 1).fill(0);
  for (const each of a) {
    const next = [0];
    for (const [j, other] of b.entries())
      next.push(each === other ? (row[j] as number) + 1 : Math.max(next[j] as number, row[j + 1] as number));
    row = next;
  }
  return row[b.length] as number;
}

test("texts that have hardly anything in common take no long time", () => {
  const text = (offset: number) => Array.from({ length: 30_000 }, (_, index) => String(index * 2 + offset)).join("\n");
  assert.equal(unifiedDiff(text(0), text(1)).length, 60_001);
});

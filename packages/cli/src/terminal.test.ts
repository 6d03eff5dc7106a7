import assert from "node:assert/strict";
import { test } from "node:test";
import { stripVTControlCharacters } from "node:util";
import fc from "fast-check";
import { type Colour, escapeControls, fit, table } from "./terminal.ts";

const plain = (_style: Colour, text: string) => text;

test("control characters are shown, not sent", () => {
  assert.equal(escapeControls("a\x1b[2Jb\r\n\x9bc\u202ed\u{e0041}"), "a\\x1b[2Jb\\x0d\\x0a\\x9bc\\u{202e}d\\u{e0041}");
  assert.equal(escapeControls("users — ünïcode ✓"), "users — ünïcode ✓");
});

test("whatever is escaped holds no control character", () => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => !/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(escapeControls(text))));
});

test("a table lines texts up on the left and numbers on the right, without trailing spaces", () => {
  const rows = [
    { name: "users", calls: "1,234", note: "x" },
    { name: "web", calls: "5", note: "" },
  ];
  const lines = table(
    [
      { heading: "NAME", cell: ({ name }) => name },
      { heading: "CALLS", cell: ({ calls }) => calls, align: "right" },
      { heading: "NOTE", cell: ({ note }) => note },
    ],
    rows,
    plain,
  );
  assert.deepEqual(lines, ["NAME   CALLS  NOTE", "users  1,234  x", "web        5"]);
});

test("a table escapes what it shows", () => {
  assert.deepEqual(table([{ heading: "NAME", cell: (name: string) => name }], ["\x1b]0;owned\x07"], plain), ["NAME", "\\x1b]0;owned\\x07"]);
});

test("a table colours cells after it measured them", () => {
  const paint = (style: Colour, text: string) => `<${style}>${text}</>`;
  const columns = [{ heading: "STATE", cell: (state: string) => state, colour: () => "green" as const }];
  assert.deepEqual(table(columns, ["live"], paint), ["<bold>STATE</>", "<green>live</>"]);
});

test("cut lines are as wide as the terminal at most, and keep every colour's begin and end", () => {
  const part = fc.record({ text: fc.string({ maxLength: 10 }), isRed: fc.boolean() });
  fc.assert(
    fc.property(fc.array(part), fc.integer({ min: 1, max: 30 }), (parts, width) => {
      const line = parts.map(({ text, isRed }) => (isRed ? `\x1b[31m${text}\x1b[39m` : text)).join("");
      const [shown = ""] = fit([line], width);
      assert.ok(stripVTControlCharacters(shown).length <= width);
      assert.equal(shown.split("\x1b").length, line.split("\x1b").length);
    }),
  );
});

test("lines are cut to the terminal's width", () => {
  assert.deepEqual(fit(["short", "\x1b[1mmuch too long\x1b[22m"], 6), ["short", "\x1b[1mmuch …\x1b[22m"]);
});

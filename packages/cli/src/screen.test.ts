import assert from "node:assert/strict";
import { test } from "node:test";
import { Screen, type Terminal } from "./screen.ts";

function terminal(size: Partial<Terminal> = {}) {
  const written: string[] = [];
  const stream = { isTTY: true, columns: 20, rows: 5, write: (text: string) => written.push(text) > 0, ...size } as Terminal;
  return { stream, written };
}

test("a terminal is drawn over in place, never cleared first, at once and without wrapping", () => {
  const { stream, written } = terminal();
  const screen = new Screen({ stream });
  screen.show(["one", "two"]);
  screen.show(["three"]);
  assert.equal(written[0], "\x1b[?2026h\x1b[?25l\x1b[?7lone\x1b[K\ntwo\x1b[K\n\x1b[J\x1b[?7h\x1b[?2026l");
  assert.equal(written[1], "\x1b[?2026h\x1b[?25l\x1b[?7l\x1b[2Fthree\x1b[K\n\x1b[J\x1b[?7h\x1b[?2026l");
});

test("lines are cut to the terminal, in both directions", () => {
  const { stream, written } = terminal({ columns: 4, rows: 3 });
  new Screen({ stream }).show(["123456", "b", "c", "d"]);
  assert.ok(written[0]?.includes("123…\x1b[K\nb\x1b[K\n\x1b[J"));
});

test("the terminal is given back as it was: cursor shown, screen of before", () => {
  const { stream, written } = terminal();
  const screen = new Screen({ stream, full: true });
  screen.close();
  assert.equal(written.length, 0);
  screen.show(["a"]);
  screen.close();
  screen.close();
  assert.ok(written[0]?.startsWith("\x1b[?1049h"));
  assert.deepEqual(written.slice(1), ["\x1b[?25h\x1b[?1049l"]);
});

test("elsewhere lines come as blocks, without any control character", () => {
  const { stream, written } = terminal({ isTTY: false });
  const screen = new Screen({ stream, full: true });
  screen.show(["a", "b"]);
  screen.show(["c"]);
  screen.close();
  assert.deepEqual(written, ["a\nb\n\n", "c\n\n"]);
});

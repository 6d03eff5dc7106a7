import assert from "node:assert/strict";
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { LogReader, readableLine } from "./log-reader.ts";

test("a log is read from its last lines on, whole lines at a time, and anew when it is cut", async (context) => {
  const directory = mkdtempSync(join(tmpdir(), "weft-log-"));
  context.after(() => rmSync(directory, { recursive: true }));
  const file = join(directory, "x.log");
  const reader = new LogReader(file);
  assert.deepEqual(await reader.last(5), []);
  writeFileSync(file, "one\ntwo\nthree\nfo");
  assert.deepEqual(await reader.last(2), ["two", "three"]);
  appendFileSync(file, "ur\nfive\n");
  assert.deepEqual(await reader.more(), ["four", "five"]);
  assert.deepEqual(await reader.more(), []);
  writeFileSync(file, "new\n");
  assert.deepEqual(await reader.more(), ["new"]);
});

test("a line of JSON becomes time, level, message and fields; others stay as they are", () => {
  const line = JSON.stringify({ level: 40, time: 0, pid: 1, hostname: "h", msg: "late", workload: "w-1", after: 3 });
  assert.equal(readableLine(line), "1970-01-01T00:00:00.000Z  warn  late  workload=w-1  after=3");
  assert.equal(readableLine("{broken"), "{broken");
  assert.equal(readableLine("plain"), "plain");
});

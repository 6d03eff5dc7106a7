import assert from "node:assert/strict";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { BoundedFile } from "./log.ts";
import { temporaryDirectory } from "./testing/controllers.ts";

test("a log keeps its last lines in two files of bounded size", (t) => {
  const directory = temporaryDirectory(t);
  const log = new BoundedFile(join(directory, "log"), 1000, Number.POSITIVE_INFINITY);
  for (let index = 0; index < 500; index++) log.write(`line ${index}\n`);
  assert.deepEqual(readdirSync(directory).sort(), ["log", "log.1"]);
  for (const name of ["log", "log.1"]) assert.ok(statSync(join(directory, name)).size <= 1000);
  assert.match(readFileSync(join(directory, "log"), "utf8"), /line 499\n$/);
});

test("a flood of lines is cut, and the log says so", (t) => {
  const path = join(temporaryDirectory(t), "log");
  const log = new BoundedFile(path, 1_000_000, 10);
  for (let index = 0; index < 1000; index++) log.write(`line ${index}\n`);
  const lines = readFileSync(path, "utf8").trim().split("\n");
  // The loop may cross into another second.
  assert.ok(lines.length >= 11 && lines.length <= 22, `${lines.length} lines`);
  assert.match(lines[10] ?? "", /further lines of this second are left out/);
});

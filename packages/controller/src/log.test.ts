import assert from "node:assert/strict";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { BoundedFile } from "./log.ts";
import { temporaryDirectory } from "./testing/controllers.ts";

test("a log keeps its last lines in two files of bounded size", (t) => {
  const directory = temporaryDirectory(t);
  const log = new BoundedFile(join(directory, "log"), 1000);
  for (let index = 0; index < 500; index++) log.write(`line ${index}\n`);
  assert.deepEqual(readdirSync(directory).sort(), ["log", "log.1"]);
  for (const name of ["log", "log.1"]) assert.ok(statSync(join(directory, name)).size <= 1000);
  assert.match(readFileSync(join(directory, "log"), "utf8"), /line 499\n$/);
});

import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { keptLogs, removeOldLogs } from "./logs.ts";

test("of workloads that are gone the latest logs stay, of those that run all, and others are not touched", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "weft-logs-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const write = (name: string, age: number) => {
    writeFileSync(join(folder, name), "");
    utimesSync(join(folder, name), 1_000_000 - age, 1_000_000 - age);
  };
  write("controller.log", 9999);
  write("w-runs.log", 9999);
  for (let age = 0; age < keptLogs + 3; age++) write(`w-${age}.log`, age);
  removeOldLogs(folder, (id) => id === "w-runs");
  const left = readdirSync(folder);
  assert.equal(left.length, keptLogs + 2);
  for (const name of ["controller.log", "w-runs.log", "w-0.log", `w-${keptLogs - 1}.log`]) assert.ok(left.includes(name), name);
  assert.ok(!left.includes(`w-${keptLogs}.log`));
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { Expected } from "./expected.ts";

test("a workload is expected until it is back, its launcher ended, or it was waited for long enough", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const running = new Set([1, 2, 3]);
  let changes = 0;
  const expected = new Expected(
    (pid) => running.has(pid),
    10_000,
    () => changes++,
  );
  const keys = ["back.default", "ended.default", "late.default"];
  for (const [index, key] of keys.entries()) expected.add(`w-${index}`, index + 1, [key, `198.18.0.${index}`]);
  const waitedFor = () => [...keys, "198.18.0.0", "198.18.0.1", "198.18.0.2"].filter((key) => expected.has(key));
  assert.equal(waitedFor().length, 6);
  expected.arrived("w-0");
  running.delete(2);
  expected.sweep();
  t.mock.timers.tick(9_999);
  assert.deepEqual([waitedFor(), changes], [["late.default", "198.18.0.2"], 2]);
  t.mock.timers.tick(1);
  assert.deepEqual([waitedFor(), changes], [[], 3]);
});

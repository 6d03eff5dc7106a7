import assert from "node:assert/strict";
import { test } from "node:test";
import { launcherArguments } from "./run.ts";

test("the launcher is told everything by arguments, and the program's own come last and unchanged", () => {
  const workload = { id: "w-3f2a", service: "users", namespace: "default", address: "198.19.0.5", publish: [80, 8080], siblings: 0 };
  const args = launcherArguments("/t/weft-launch", { state: "/s", redirect: "auto" }, ["db:5432"], workload, [
    "node",
    "--",
    "a b",
    "--state",
  ]);
  assert.deepEqual(args, [
    "/t/weft-launch",
    ...["--workload", "w-3f2a", "--service", "users", "--namespace", "default", "--address", "198.19.0.5"],
    ...["--state", "/s", "--redirect", "auto", "--publish", "80", "--publish", "8080", "--upstream", "db:5432"],
    ...["--", "node", "--", "a b", "--state"],
  ]);
});

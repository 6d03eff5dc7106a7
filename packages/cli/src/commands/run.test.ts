import assert from "node:assert/strict";
import { test } from "node:test";
import { commandToShow, launcherArguments } from "./run.ts";

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

test("a command is registered whole when it is short, and by its beginning when it is long", () => {
  assert.deepEqual(commandToShow(["node", "users.js", ""]), ["node", "users.js", ""]);
  assert.deepEqual(commandToShow(["sh", "x".repeat(100_000), "y"]), ["sh", `${"x".repeat(3998)}…`, "…"]);
  assert.equal(commandToShow(Array.from({ length: 5000 }, () => "")).length, 1001);
});

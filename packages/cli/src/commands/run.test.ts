import assert from "node:assert/strict";
import { test } from "node:test";
import { commandToShow, launcherArguments } from "./run.ts";

const workload = {
  id: "w-3f2a",
  service: "users",
  namespace: "default",
  address: "198.19.0.5",
  virtualAddress: "198.18.0.2",
  publish: [80, 8080],
  siblings: 0,
};

test("the launcher is told everything by arguments, and the program's own come last and unchanged", () => {
  const ports = [
    { servicePort: 80, targetPort: 8080 },
    { servicePort: 53, targetPort: 5353, protocol: "tcp" as const },
  ];
  const upstreams = ["db:5432"];
  const command = ["node", "--", "a b", "--state"];
  const args = launcherArguments("/t/weft-launch", { state: "/s", redirect: "auto" }, { ports, upstreams }, workload, command);
  assert.deepEqual(args, [
    "/t/weft-launch",
    ...["--workload", "w-3f2a", "--service", "users", "--namespace", "default", "--address", "198.19.0.5"],
    ...["--virtual-address", "198.18.0.2", "--state", "/s", "--redirect", "auto", "--port", "80:8080", "--port", "53:5353/tcp"],
    ...["--publish", "80", "--publish", "8080", "--upstream", "db:5432"],
    ...["--", "node", "--", "a b", "--state"],
  ]);
});

test("a program gets the limit of open files that the caller had, if it had one", () => {
  const args = (openFiles: string) =>
    launcherArguments("/t/weft-launch", { state: "/s", redirect: "auto", openFiles }, { ports: [], upstreams: [] }, workload, ["true"]);
  const limited = args("1024");
  assert.equal(limited[limited.indexOf("--open-files") + 1], "1024");
  for (const none of ["unlimited", ""]) assert.ok(!args(none).includes("--open-files"));
});

test("a command is registered whole when it is short, and by its beginning when it is long", () => {
  assert.deepEqual(commandToShow(["node", "users.js", ""]), ["node", "users.js", ""]);
  assert.deepEqual(commandToShow(["sh", "x".repeat(100_000), "y"]), ["sh", `${"x".repeat(3998)}…`, "…"]);
  assert.equal(commandToShow(Array.from({ length: 5000 }, () => "")).length, 1001);
});

test("a program that ends with its starter is told who that is", () => {
  const options = { state: "/s", redirect: "auto", endWithParent: true } as const;
  const args = launcherArguments("/t/weft-launch", options, { ports: [], upstreams: [] }, workload, ["true"]);
  assert.equal(args[args.indexOf("--parent") + 1], String(process.ppid));
});

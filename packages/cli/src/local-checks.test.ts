import assert from "node:assert/strict";
import { test } from "node:test";
import type { Status } from "@weft/api/light";
import { controllerChecks, machineChecks } from "./local-checks.ts";
import type { MachineFacts } from "./machine.ts";

const fine: MachineFacts = {
  node: "24.21.0",
  platform: "linux",
  uid: 1000,
  binaries: [
    { name: "weft-launch", found: { path: "/weft/target/release/weft-launch", debug: false } },
    { name: "weft-proxy", found: { path: "/weft/target/release/weft-proxy", debug: false } },
  ],
  sysctls: { "user/max_user_namespaces": "15000" },
  state: {
    path: "/s",
    socketPathBytes: 40,
    found: { isDirectory: true, uid: 1000, mode: 0o700 },
    free: { bytes: 1e9, files: 1e6 },
    error: undefined,
  },
};

/** The one check that is not ok. */
function found(change: Partial<MachineFacts>) {
  const wrong = machineChecks({ ...fine, ...change }, "/weft").filter(({ status }) => status !== "ok");
  assert.equal(wrong.length, 1, JSON.stringify(wrong));
  return wrong[0] as (typeof wrong)[number];
}
const foundInState = (change: Partial<MachineFacts["state"]>) => found({ state: { ...fine.state, ...change } });

test("a machine on which nothing is wrong passes every check", () => {
  for (const check of machineChecks(fine, "/weft")) assert.deepEqual([check.status, check.action], ["ok", ""], check.name);
  const fresh = { ...fine.state, found: undefined };
  assert.ok(machineChecks({ ...fine, state: fresh }, "/weft").every(({ status }) => status === "ok"));
});

test("an old Node and binaries that are missing fail, and a debug build warns", () => {
  assert.match(found({ node: "20.1.0" }).action, /npm install/);
  const [launch, proxy] = fine.binaries as [MachineFacts["binaries"][0], MachineFacts["binaries"][0]];
  assert.equal(found({ binaries: [launch, { ...proxy, found: undefined }] }).status, "fail");
  assert.equal(found({ binaries: [launch, { ...proxy, found: { path: "/d", debug: true } }] }).status, "warn");
});

test("what keeps the kernel from giving namespaces is named with the command that changes it", () => {
  const settings = [
    ["user/max_user_namespaces", "0", "sudo sysctl user.max_user_namespaces="],
    ["user/max_net_namespaces", "0", "sudo sysctl user.max_net_namespaces="],
    ["kernel/unprivileged_userns_clone", "0", "sudo sysctl kernel.unprivileged_userns_clone=1"],
    ["kernel/apparmor_restrict_unprivileged_userns", "1", "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0"],
  ] as const;
  for (const [path, value, command] of settings) {
    const { status, why, action } = found({ sysctls: { ...fine.sysctls, [path]: value } });
    assert.equal(status, "warn", path);
    assert.ok(action.includes(command), action);
    assert.match(why, /proxy variables/);
  }
  const root = machineChecks(
    { ...fine, uid: 0, sysctls: { "user/max_user_namespaces": "0" }, state: { ...fine.state, found: undefined } },
    "/weft",
  );
  assert.ok(
    root.every(({ status }) => status === "ok"),
    "root needs no user namespace",
  );
  assert.equal(found({ platform: "darwin" }).status, "warn");
});

test("a state directory of others, without rights, open to others, or that is none, fails and says so", () => {
  const mode = (bits: number) => ({ isDirectory: true, uid: 1000, mode: bits });
  assert.match(foundInState({ found: { isDirectory: true, uid: 0, mode: 0o700 } }).what, /user 0, and this is user 1000/);
  assert.match(foundInState({ found: mode(0o500) }).why, /may not write/);
  assert.match(foundInState({ found: mode(0o750) }).why, /Others may enter/);
  assert.match(foundInState({ found: { isDirectory: false, uid: 1000, mode: 0o600 } }).what, /no directory/);
  assert.match(foundInState({ found: undefined, error: "EACCES: permission denied" }).what, /EACCES/);
});

test("a full disk fails, an almost full one warns, by bytes and by files", () => {
  assert.equal(foundInState({ free: { bytes: 100, files: 1e6 } }).status, "fail");
  assert.equal(foundInState({ free: { bytes: 10e6, files: 1e6 } }).status, "warn");
  assert.equal(foundInState({ free: { bytes: 1e9, files: 0 } }).status, "fail");
});

test("a path too long for a socket fails", () => {
  assert.match(foundInState({ socketPathBytes: 120 }).action, /shorter/);
});

const status: Status = {
  version: "0.1.0",
  pid: 1,
  startedAt: "2026-11-22T11:00:00Z",
  now: "2026-11-22T12:00:00Z",
  stateDir: "/s",
  trustDomain: "weft.local",
  pageUrl: "http://127.0.0.1:4180/",
  services: 0,
  workloads: 0,
  trouble: null,
};

test("a controller of another version warns, and one whose clock is off fails", () => {
  const now = Date.parse(status.now);
  assert.ok(controllerChecks(status, { version: "0.1.0", now: now + 1000 }).every(({ status }) => status === "ok"));
  const other = controllerChecks(status, { version: "0.2.0", now }).find(({ status }) => status !== "ok");
  assert.match(other?.what ?? "", /version 0\.1\.0, this command line of 0\.2\.0/);
  const skewed = controllerChecks(status, { version: "0.1.0", now: now + 24 * 3600 * 1000 }).find(({ status }) => status !== "ok");
  assert.deepEqual([skewed?.name, skewed?.status], ["controller's clock", "fail"]);
});

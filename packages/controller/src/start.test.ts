import assert from "node:assert/strict";
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { ApiClient, statePaths } from "@weft/api";
import { startController } from "./controller.ts";
import { running, temporaryDirectory } from "./testing/controllers.ts";
import { spawnController } from "./testing/process.ts";

const start = (stateDir: string, pagePort = 0) => startController({ stateDir, pagePort });

test("everything in the state directory is for its user only, and sockets and lock go with the controller", async (t) => {
  const { stateDir, controller } = await running(t);
  const paths = statePaths(stateDir);
  const mode = (path: string) => (statSync(path).mode & 0o777).toString(8);
  assert.deepEqual([stateDir, paths.ca, paths.logs].map(mode), ["700", "700", "700"]);
  const files = [
    paths.apiSocket,
    paths.controlSocket,
    paths.lock,
    paths.objects,
    paths.controllerLog,
    ...readdirSync(paths.ca).map((name) => join(paths.ca, name)),
  ];
  assert.deepEqual([...new Set(files.map(mode))], ["600"]);
  await controller.stop();
  assert.deepEqual(readdirSync(stateDir).sort(), ["ca", "logs", "objects.db", "registry.db"]);
});

test("no secret is in the log", async (t) => {
  const { stateDir } = await running(t);
  const api = new ApiClient(stateDir);
  const { id } = await api.registerWorkload({ service: "users", pid: 1, command: ["serve", "--password", "hunter2"] });
  const token = await api.token(id);
  const log = readFileSync(statePaths(stateDir).controllerLog, "utf8");
  assert.ok(log.includes(id) && !log.includes(token) && !log.includes("hunter2"));
});

test("a second controller on the same state says which process runs the first, which goes on", async (t) => {
  const stateDir = join(temporaryDirectory(t), "state");
  const first = spawnController(t, ["--state", stateDir, "--page-port", "0"]);
  await first.ready;
  const second = spawnController(t, ["--state", stateDir, "--page-port", "0"]);
  await assert.rejects(second.ready, (error: Error) => {
    assert.match(error.message, new RegExp(`process ${first.child.pid}\\).*WEFT-C-ALREADY-RUNNING`));
    return true;
  });
  assert.equal(await second.ended, 1);
  assert.equal((await new ApiClient(stateDir).status()).pid, first.child.pid);
});

test("of many that start at once exactly one runs", async (t) => {
  const stateDir = join(temporaryDirectory(t), "state");
  const started = Array.from({ length: 4 }, () => spawnController(t, ["--state", stateDir, "--page-port", "0"]));
  const results = await Promise.allSettled(started.map(({ ready }) => ready));
  assert.equal(results.filter(({ status }) => status === "fulfilled").length, 1);
  for (const result of results) if (result.status === "rejected") assert.match(String(result.reason), /WEFT-C-ALREADY-RUNNING/);
});

test("what a killed controller left behind is no obstacle", async (t) => {
  const stateDir = join(temporaryDirectory(t), "state");
  const first = spawnController(t, ["--state", stateDir, "--page-port", "0"]);
  await first.ready;
  first.child.kill("SIGKILL");
  assert.equal(await first.ended, "SIGKILL");
  assert.ok(existsSync(statePaths(stateDir).apiSocket) && existsSync(statePaths(stateDir).lock));
  await running(t, { stateDir });
  assert.equal((await new ApiClient(stateDir).status()).pid, process.pid);
});

test("SIGTERM, SIGINT and POST /shutdown end it in order", async (t) => {
  for (const end of ["SIGTERM", "SIGINT", "shutdown"] as const) {
    const stateDir = join(temporaryDirectory(t), "state");
    const { child, ready, ended } = spawnController(t, ["--state", stateDir, "--page-port", "0"]);
    await ready;
    if (end === "shutdown") await new ApiClient(stateDir).shutdown();
    else child.kill(end);
    assert.equal(await ended, 0);
    assert.equal(existsSync(statePaths(stateDir).apiSocket), false);
  }
});

test("a state directory that cannot be used is refused with its path and the reason", async (t) => {
  const directory = temporaryDirectory(t);
  writeFileSync(join(directory, "file"), "");
  await assert.rejects(start(join(directory, "file")), { code: "WEFT-C-STATE-NOT-DIRECTORY" });
  await assert.rejects(start(join(directory, "file", "state")), { code: "WEFT-C-STATE-NOT-DIRECTORY", message: /\/file is no directory/ });
  await assert.rejects(start(join(directory, "x".repeat(100))), { code: "WEFT-C-STATE-PATH-TOO-LONG" });
  await assert.rejects(start("/proc/weft"), { code: "WEFT-C-STATE-UNWRITABLE", message: /\/proc\/weft/ });
  const isRoot = process.getuid?.() === 0;
  const foreign = isRoot ? join(directory, "foreign") : "/";
  if (isRoot) {
    mkdirSync(foreign);
    chownSync(foreign, 12345, 12345);
  }
  await assert.rejects(start(foreign), { code: "WEFT-C-STATE-NOT-OURS", message: /belongs to user/ });
});

test("a damaged registry or certificate authority is refused, not replaced", async (t) => {
  const { stateDir, controller } = await running(t);
  await controller.stop();
  const paths = statePaths(stateDir);
  const key = join(paths.ca, "root.key");
  const good = readFileSync(key);
  writeFileSync(key, "garbage");
  await assert.rejects(start(stateDir), { code: "WEFT-C-CA-UNREADABLE" });
  writeFileSync(key, good);
  const other = join(temporaryDirectory(t), "state");
  mkdirSync(other);
  writeFileSync(statePaths(other).registry, "this is no database, but it is long enough to be looked at as one".repeat(100));
  await assert.rejects(start(other), { code: "WEFT-C-REGISTRY-DAMAGED" });
  const { registry } = statePaths(stateDir);
  const whole = readFileSync(registry);
  // Its first page is whole, so that it opens; what it holds is not.
  writeFileSync(registry, Buffer.concat([whole.subarray(0, 4096), Buffer.alloc(whole.length - 4096, 0x5a)]));
  await assert.rejects(start(stateDir), { code: "WEFT-C-REGISTRY-DAMAGED", message: /malformed/ });
  writeFileSync(registry, whole);
  await running(t, { stateDir });
});

test("a page port in use is refused when it was asked for, and passed over when not", async (t) => {
  const blocker = createServer();
  await new Promise<void>((resolve) => blocker.listen(0, "127.0.0.1", resolve));
  t.after(() => blocker.close());
  const { port } = blocker.address() as { port: number };
  await assert.rejects(start(join(temporaryDirectory(t), "state"), port), { code: "WEFT-C-PAGE-PORT-IN-USE" });
  const [one, two] = [await running(t, { pagePort: undefined }), await running(t, { pagePort: undefined })];
  assert.notEqual(one.controller.pageUrl, two.controller.pageUrl);
});

test("wrong arguments are refused with the usage", async (t) => {
  for (const args of [["--nonsense"], ["--page-port", "70000"], ["--page-port", "http"], ["extra"]]) {
    const { ready, ended } = spawnController(t, args);
    await assert.rejects(ready, /Usage: .*WEFT-C-USAGE/);
    assert.equal(await ended, 2);
  }
});

test("a state directory that others may enter is closed to them", async (t) => {
  const stateDir = join(temporaryDirectory(t), "state");
  mkdirSync(stateDir);
  chmodSync(stateDir, 0o755);
  await running(t, { stateDir });
  assert.equal(statSync(stateDir).mode & 0o777, 0o700);
});

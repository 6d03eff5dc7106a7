import assert from "node:assert/strict";
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { execute, familyOf, holdingsOf, leftOf, processesWith, Running, root, temporaryFolder, until } from "@weft/testkit";

const folderOf = () => {
  const folder = temporaryFolder();
  return { folder, [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }) };
};

/** Nothing of the demo may be anywhere else: home, temporary folder and state lie in `folder`. */
const environment = (folder: string) => {
  const { NODE_TEST_CONTEXT: _, WEFT_STATE: __, ...env } = process.env;
  return { ...env, TMPDIR: folder, HOME: folder, XDG_RUNTIME_DIR: folder };
};

/** A line of the demo's table, once there are numbers. */
const traffic = /^payments +\d/m;

test("weft demo shows traffic of HTTP/1.1, HTTP/2 and gRPC services, one of which fails on purpose", { timeout: 90_000 }, async () => {
  using place = folderOf();
  const { code, stdout, stderr } = await execute(join(root, "bin", "weft"), ["demo", "--seconds", "8", "-o", "json"], {
    env: environment(place.folder),
  });
  assert.equal(code, 0, stderr);
  const called = JSON.parse(stdout).rows.filter(({ direction }: { direction: string }) => direction === "inbound");
  assert.ok(called.length >= 4, stdout);
  assert.ok(
    called.some(({ failures }: { failures: number }) => failures > 0),
    "one fails on purpose",
  );
  assert.ok(
    called.some(({ grpcStatuses }: { grpcStatuses: object }) => Object.keys(grpcStatuses).length > 0),
    "one speaks gRPC",
  );
  assert.deepEqual(readdirSync(place.folder), []);
});

test("Ctrl-C ends the demo within 5 s and leaves no process, namespace, socket or file", { timeout: 90_000 }, async () => {
  using place = folderOf();
  const demo = new Running(join(root, "bin", "weft"), ["demo"], { env: environment(place.folder) });
  await until("the demo shows traffic", () => traffic.test(demo.stdout), { timeoutMs: 40_000, diagnose: () => demo.describe() });
  const holdings = holdingsOf([...new Set([demo.pid, ...processesWith(place.folder)].flatMap(familyOf))]);
  assert.ok(holdings.processes.length > 10 && holdings.namespaces.length > 3 && holdings.ports.length > 3, JSON.stringify(holdings));
  const start = performance.now();
  const { code } = await demo.stop("SIGINT", 20_000);
  assert.ok(performance.now() - start < 6000, "it ended in time");
  assert.equal(code, 0, demo.describe());
  await until("nothing is left", () => leftOf(holdings).length === 0, { timeoutMs: 3000, diagnose: () => leftOf(holdings).join("\n") });
  assert.deepEqual(readdirSync(place.folder), []);
});

test("a second npm start is there within 5 s", { timeout: 90_000 }, async (t) => {
  using place = folderOf();
  const env = { ...environment(place.folder), HOME: process.env.HOME };
  const start = performance.now();
  const demo = new Running("npm", ["start"], { env, cwd: root, detached: true });
  try {
    await until("the demo shows traffic", () => traffic.test(demo.stdout), { timeoutMs: 40_000, diagnose: () => demo.describe() });
    const took = (performance.now() - start) / 1000;
    t.diagnostic(`it took ${took.toFixed(1)} s`);
    assert.ok(took < 5, `it took ${took.toFixed(1)} s`);
  } finally {
    // As a terminal does: to the whole group.
    process.kill(-demo.pid, "SIGINT");
    await demo.ended;
  }
});

test("a fresh clone starts", { timeout: 900_000, skip: process.env.WEFT_LONG ? false : "long form only" }, async () => {
  using place = folderOf();
  const clone = join(place.folder, "weft");
  await execute("git", ["clone", "--quiet", root, clone]);
  const env = { ...environment(place.folder), HOME: process.env.HOME };
  const { code, stdout, stderr } = await execute("npm", ["start", "--", "--once"], { env, cwd: clone, timeoutMs: 800_000 });
  assert.equal(code, 0, stderr);
  assert.match(stdout, traffic);
});

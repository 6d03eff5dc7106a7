import assert from "node:assert/strict";
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { argumentsOf, execute, familyOf, holdingsOf, leftOf, processesWith, Running, root, temporaryFolder, until } from "@weft/testkit";

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

/** Starts a demo, and answers after how many milliseconds it showed traffic. */
async function shown(start: () => Running): Promise<[Running, number]> {
  const begun = performance.now();
  const demo = start();
  await until("the demo shows traffic", () => traffic.test(demo.stdout), { timeoutMs: 40_000, diagnose: () => demo.describe() });
  return [demo, performance.now() - begun];
}

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

test("Ctrl-C ends the demo sooner than it started and leaves no process, namespace, socket or file", { timeout: 120_000 }, async (t) => {
  using place = folderOf();
  const [demo, took] = await shown(() => new Running(join(root, "bin", "weft"), ["demo"], { env: environment(place.folder) }));
  const holdings = holdingsOf([...new Set([demo.pid, ...processesWith(place.folder)].flatMap(familyOf))]);
  assert.ok(holdings.processes.length > 10 && holdings.namespaces.size > 3 && holdings.ports.length > 3, JSON.stringify(holdings));
  const start = performance.now();
  const { code } = await demo.stop("SIGINT", 60_000);
  const end = performance.now() - start;
  t.diagnostic(`traffic after ${took.toFixed(0)} ms, ended after ${end.toFixed(0)} ms`);
  assert.equal(code, 0, demo.describe());
  assert.ok(end < took, `it took ${end} ms, and ${took} ms to start`);
  await until("nothing is left", () => leftOf(holdings).length === 0, { diagnose: () => leftOf(holdings).join("\n") });
  assert.deepEqual(readdirSync(place.folder), []);
});

test("a second npm start installs and builds nothing, and takes hardly longer than the demo alone", { timeout: 120_000 }, async (t) => {
  using place = folderOf();
  const env = { ...environment(place.folder), HOME: process.env.HOME };
  // Each a group of its own, to be ended as a terminal does.
  const took = async (program: string, args: string[]) => {
    const [demo, took] = await shown(() => new Running(program, args, { env, cwd: root, detached: true }));
    process.kill(-demo.pid, "SIGINT");
    return { took, ...(await demo.ended) };
  };
  const alone = await took(join(root, "bin", "weft"), ["demo"]);
  const whole = await took("npm", ["start"]);
  t.diagnostic(`the demo alone took ${alone.took.toFixed(0)} ms, npm start ${whole.took.toFixed(0)} ms`);
  assert.doesNotMatch(whole.stderr, /installing packages|building the page/);
  assert.ok(whole.took < 3 * alone.took, `npm start took ${whole.took} ms, the demo alone ${alone.took} ms`);
});

const isScript = (pid: number) => argumentsOf(pid).at(-1) === "scripts/start.mjs" && !argumentsOf(pid).includes("-c");

// npm itself leaves SIGINT to the terminal.
for (const [who, signal] of [
  ["npm", "SIGTERM"],
  ["npm", "SIGKILL"],
  ["its script", "SIGINT"],
  ["its script", "SIGKILL"],
] as const) {
  test(`npm start of which ${who} is ended by ${signal}, not by the terminal, takes the demo with it`, { timeout: 120_000 }, async () => {
    using place = folderOf();
    const env = { ...environment(place.folder), HOME: process.env.HOME };
    const demo = new Running("npm", ["start"], { env, cwd: root });
    await until("the demo shows traffic", () => traffic.test(demo.stdout), { timeoutMs: 60_000, diagnose: () => demo.describe() });
    const holdings = holdingsOf([...new Set([demo.pid, ...processesWith(place.folder)].flatMap(familyOf))]);
    assert.ok(holdings.processes.length > 10, JSON.stringify(holdings));
    process.kill(who === "npm" ? demo.pid : (familyOf(demo.pid).find(isScript) as number), signal);
    await until("nothing is left", () => leftOf(holdings).length === 0, { timeoutMs: 20_000, diagnose: () => leftOf(holdings).join("\n") });
    await until("its folder is gone", () => !readdirSync(place.folder).some((name) => name.startsWith("weft-demo-")));
  });
}

test("a fresh clone starts", { timeout: 900_000, skip: process.env.WEFT_LONG ? false : "long form only" }, async () => {
  using place = folderOf();
  const clone = join(place.folder, "weft");
  await execute("git", ["clone", "--quiet", root, clone]);
  const env = { ...environment(place.folder), HOME: process.env.HOME };
  const { code, stdout, stderr } = await execute("npm", ["start", "--", "--once"], { env, cwd: clone, timeoutMs: 800_000 });
  assert.equal(code, 0, stderr);
  assert.match(stdout, traffic);
});

import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import {
  argumentsOf,
  familyOf,
  type Holdings,
  holdingsOf,
  leftOf,
  type Member,
  Mesh,
  processesWith,
  Running,
  root,
  until,
} from "@weft/testkit";
import { fixture } from "./fixtures.ts";

// Each process killed by -9 in turn: what it takes with it, what comes back, and that nothing is left.

const users = ["--port", "8080", "--no-publish"];
const kill = (pid: number) => process.kill(pid, "SIGKILL");
const nothingIsLeft = (holdings: Holdings, what: string) =>
  until(`nothing of ${what} is left`, () => leftOf(holdings).length === 0, { diagnose: () => leftOf(holdings).join("\n") });

/** A service whose program has children of its own, one of them in another session. */
const family = ["sh", "-c", `sleep 600 & setsid sleep 600 & exec "$@"`, "sh", ...fixture("echo", 8080)];

const isInside = (pid: number) => argumentsOf(pid)[1] === "inside";
const workloads = (mesh: Mesh) => mesh.api.workloads();
const endpoints = async (mesh: Mesh) => (await mesh.api.services()).find(({ name }) => name === "users")?.endpoints.length ?? 0;

test("a launcher takes its program, everything that it started, and the sidecar with it, and the registry forgets them at once", {
  timeout: 60_000,
}, async () => {
  await using mesh = await Mesh.start();
  const member = await mesh.run("users", family, { options: users });
  const all = holdingsOf(familyOf(member.running.pid));
  kill(member.running.pid);
  await until("it is not called any more", async () => (await endpoints(mesh)) === 0);
  await nothingIsLeft(all, "the workload");
  await until("it is forgotten", async () => (await workloads(mesh)).length === 0);
});

test("launcher, program and sidecar killed at once are forgotten at once, and leave nothing", { timeout: 60_000 }, async () => {
  await using mesh = await Mesh.start();
  const member = await mesh.run("users", family, { options: users });
  const all = holdingsOf(familyOf(member.running.pid));
  for (const pid of all.processes) kill(pid);
  await until("it is forgotten", async () => (await workloads(mesh)).length === 0);
  assert.equal(await endpoints(mesh), 0);
  await nothingIsLeft(all, "the workload");
});

test("the program's parent takes the program and everything that it started with it, and the launcher says so", {
  timeout: 60_000,
}, async () => {
  await using mesh = await Mesh.start();
  const member = await mesh.run("users", family, { options: users });
  const all = holdingsOf(familyOf(member.running.pid));
  kill(all.processes.find(isInside) as number);
  const { code, stderr } = await member.running.ended;
  assert.equal(code, 125);
  assert.match(stderr, /WEFT-L-INSIDE/);
  await nothingIsLeft(all, "the workload");
  assert.deepEqual(await workloads(mesh), []);
});

test("a program killed ends its launcher by the same signal, and nothing of it is left", { timeout: 60_000 }, async () => {
  await using mesh = await Mesh.start();
  const member = await mesh.run("users", family, { options: users });
  const all = holdingsOf(familyOf(member.running.pid));
  kill((await member.workload()).programPid as number);
  assert.equal((await member.running.ended).signal, "SIGKILL");
  await nothingIsLeft(all, "the workload");
  assert.deepEqual(await workloads(mesh), []);
});

test("a sidecar is back as soon as it started; only its own program's requests notice, and launcher, weft status and weft check say so", {
  timeout: 90_000,
}, async (t) => {
  await using mesh = await Mesh.start();
  const begun = performance.now();
  const first = await mesh.run("users", fixture("echo", 8080), { options: users });
  const start = performance.now() - begun;
  await mesh.run("other", fixture("echo", 8080), { options: users });
  const ask = (name: string) => mesh.run(`ask-${name}`, fixture("ask", `http://${name}/`, 20), { endpoints: 0 });
  const [toUsers, toOther] = [await ask("users"), await ask("other")];
  const answers = ({ running }: Member) => running.stdout.trim().split("\n");
  await until("both are answered", () => [toUsers, toOther].every((member) => answers(member).length > 20));

  const earlier = answers(toUsers).length;
  const killed = performance.now();
  kill(await first.sidecar());
  await until("the launcher says that it ended", () =>
    /the sidecar of users ended \(signal 9\).*WEFT-L-SIDECAR-ENDED/.test(first.running.stderr),
  );
  await until("the launcher says that it is ready again", () => first.running.stderr.includes("the sidecar of users is ready again"));
  const back = performance.now() - killed;
  t.diagnostic(`first there after ${start.toFixed(0)} ms, ready again after ${back.toFixed(0)} ms`);
  assert.match(first.running.stderr, /It is started again in 0\.1 s/);
  assert.ok(back < 2 * start, `it took ${back} ms, and ${start} ms with its program and its launcher`);
  await until("calls go on", () => answers(toUsers).length > earlier + 50);
  const failed = answers(toUsers)
    .slice(earlier)
    .filter((answer) => answer !== "200");
  t.diagnostic(`${failed.length} calls failed: ${failed.join(", ")}`);
  assert.ok(failed.length <= 2, failed.join("\n"));
  assert.deepEqual(new Set(answers(toOther)), new Set(["200"]), "nobody else's requests notice");

  const workload = await until("the restart is reported", async () => {
    const found = await first.workload();
    return found.restarts === 1 && found;
  });
  assert.equal(workload.lastEnd?.reason, "signal 9");
  assert.match((await mesh.weft(["status"])).stdout, /users .* live, 1 restart /);
  assert.match((await mesh.weft(["check"])).stdout, /! restarts: Started again: users \(w-.*\) 1 time\..*signal 9/);
});

test("a program whose own sidecar is killed loses what that carried at the moment, and is denied no name", {
  timeout: 90_000,
}, async (t) => {
  await using mesh = await Mesh.start();
  await mesh.run("users", fixture("echo", 8080), { options: users });
  const asking = ["1", "2"].flatMap(() => ["&", ...fixture("ask", "http://users/", 5).map((word) => `'${word}'`)]).slice(1);
  const caller = await mesh.run("caller", ["sh", "-c", `${asking.join(" ")} & wait`], { endpoints: 0 });
  const answers = () => caller.running.stdout.trim().split("\n");
  await until("it is answered", () => answers().length > 20);
  const rounds = 4;
  for (let round = 1; round <= rounds; round++) {
    kill(await caller.sidecar());
    await until("the launcher says that it ended", () => caller.running.stderr.split("WEFT-L-SIDECAR-ENDED").length > 1);
    await until(`end ${round} is reported`, async () => (await caller.workload()).restarts === round);
    const earlier = answers().length;
    await until("calls go on", () => answers().length > earlier + 20);
  }
  const failed = answers().filter((answer) => answer !== "200");
  t.diagnostic(`${failed.length} of ${answers().length} calls failed: ${failed.join(", ")}`);
  assert.deepEqual(
    failed.filter((answer) => /ENOTFOUND|EAI_AGAIN|WEFT/.test(answer)),
    [],
  );
  assert.ok(failed.length <= 2 * 2 * rounds, "what each of two callers had under way");
});

test("a sidecar that dies again and again is started ever more seldom, and that is said", { timeout: 60_000 }, async () => {
  await using mesh = await Mesh.start();
  const member = await mesh.run("users", fixture("echo", 8080), { options: users });
  for (let round = 1; round <= 4; round++) {
    kill(await member.sidecar());
    await until(`end ${round} is reported`, async () => (await member.workload()).restarts === round);
  }
  assert.match(member.running.stderr, /ended \(signal 9\), 2 times in a row/);
  assert.match(member.running.stderr, /4 times in a row \(WEFT-L-SIDECAR-ENDED\)\n.*It is started again in 0\.8 s/);
  assert.doesNotMatch(member.running.stderr, /3 times in a row/, "not each is said");
  await until("it is back", async () => (await member.workload()).state === "live" && (await endpoints(mesh)) === 1);
});

test("all processes killed at once: the next command finds nothing in its way, and nothing of the old is left", {
  timeout: 60_000,
}, async () => {
  await using mesh = await Mesh.start();
  await mesh.run("users", fixture("echo", 8080), { options: users });
  const all = mesh.holdings();
  for (const pid of all.processes) kill(pid);
  await nothingIsLeft(all, "the mesh");
  await mesh.run("users", fixture("echo", 8080), { options: users });
  await until("only the new one is known", async () => (await workloads(mesh)).length === 1);
  const { stdout, stderr } = await mesh.call("caller", fixture("fetch", "http://users/"));
  assert.match(stdout, /^200 /, stderr);
});

test("a demo that is killed leaves no process, no namespace, no port and no folder", { timeout: 120_000 }, async () => {
  const before = new Set(readdirSync(tmpdir()).filter((name) => name.startsWith("weft-demo-")));
  const demo = new Running(join(root, "bin", "weft"), ["demo"]);
  const folder = await until("its folder", () =>
    readdirSync(tmpdir()).find(
      (name) => name.startsWith("weft-demo-") && !before.has(name) && existsSync(join(tmpdir(), name, "api.sock")),
    ),
  );
  const state = join(tmpdir(), folder);
  await until("it runs", () => demo.stdout.includes("programs, each behind its own sidecar"), { timeoutMs: 60_000 });
  const all = holdingsOf([...new Set([demo.pid, ...processesWith(state).flatMap(familyOf)])]);
  assert.ok(all.processes.length > 15, `${all.processes.length} processes`);
  kill(demo.pid);
  await nothingIsLeft(all, "the demo");
  await until("its folder is gone", () => !existsSync(state));
});

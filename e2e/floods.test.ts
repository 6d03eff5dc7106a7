import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type Member, Mesh, memoryOf, Running, until } from "@weft/testkit";
import { failed, heldUp, Siege, summary } from "./attacks.ts";
import { failures, sentBy } from "./faults.ts";
import { fixture } from "./fixtures.ts";

// Programs that flood their sidecar over HTTP/2: it neither grows nor keeps others waiting, and the floods go no further.

let mesh: Mesh;
let server: Member;
before(async () => {
  mesh = await Mesh.start();
  server = await mesh.run("calm", fixture("identity", 8080, "http2"), { options: ["--port", "80:8080", "--no-publish"] });
});
after(() => mesh[Symbol.asyncDispose]());

/** Requests asked in any case, for as long as the flood goes on or longer. */
const leastAsked = 20;
const bound = 6 * 1024 * 1024;
// Those that are answered are read no further once nobody takes the answers; windows are only counted up, until they overflow.
const ends: Record<string, string[]> = {
  resets: ["ended", "open"],
  provoked: ["ended"],
  continuations: ["ended"],
  empty: ["ended"],
  pings: ["open", "ended"],
  settings: ["open", "ended"],
  windows: ["open", "ended"],
};

for (const [kind, expected] of Object.entries(ends))
  test(`a flood of ${kind} costs little and holds up nobody`, { timeout: 60_000 }, async (t) => {
    // The flood and a well-behaved client are one program: they share a sidecar.
    const flood = fixture("flood", "calm", 80, kind, 3);
    const client = `const http2 = require("http2"), { spawn } = require("child_process");
      const [program, ...args] = process.argv.slice(1);
      const session = http2.connect("http://calm");
      const ask = () => new Promise((resolve, reject) => { const stream = session.request({ ":path": "/" });
        stream.on("response", (fields) => { stream.resume(); resolve(fields[":status"]); }).on("error", reject); });
      const answers = {};
      ask().then((status) => console.log("before", status));
      process.stdin.once("data", async () => {
        const child = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"] });
        child.stdout.on("data", (text) => console.log("flood", String(text).trim()));
        let over = false, asked = 0, beside = 0;
        child.on("close", () => { over = true; });
        // Some floods are ended at once: the number of requests that fit beside one is the machine's.
        for (; !over || asked < ${leastAsked}; asked++) {
          if (!over) beside++;
          const status = await ask();
          answers[status] = (answers[status] ?? 0) + 1;
          await new Promise((resolve) => setTimeout(resolve, 5));
        }
        console.log("asked", asked, "beside", beside, "answered", JSON.stringify(answers), "in all");
      });`;
    const stdio: ["pipe", "pipe", "pipe"] = ["pipe", "pipe", "pipe"];
    const { running, sidecar } = await mesh.run("flooder", [process.execPath, "-e", client, ...flood], { endpoints: 0, stdio });
    const said = (text: string) =>
      until(text, () => running.stdout.includes(text) || running.isOver, { timeoutMs: 45_000, diagnose: () => running.describe() });
    await said("before 200");
    const pids = [await server.sidecar(), await sidecar()];
    const before = pids.map((pid) => memoryOf(pid).resident);
    running.child.stdin?.write("flood\n");
    await said("in all");
    const grown = pids.map((pid, index) => memoryOf(pid).resident - (before[index] ?? 0));
    const { stdout } = await running.stop();
    t.diagnostic(`${stdout.replaceAll("\n", " ")}; grown by ${grown.map((bytes) => (bytes / 1024 / 1024).toFixed(2)).join(" and ")} MB`);
    assert.ok(
      grown.every((bytes) => bytes < bound),
      `the sidecars grew by ${grown} bytes`,
    );
    const [, asked = "", answered = ""] = /asked (\d+) beside [1-9]\d* answered (.*) in all/.exec(stdout) ?? [];
    assert.deepEqual(JSON.parse(answered), { 200: Number(asked) }, "each request beside the flood was answered");
    assert.ok(expected.includes(/flood (\w+)/.exec(stdout)?.[1] ?? ""), stdout);
  });

for (const kind of ["resets", "provoked"])
  test(`a flood of ${kind} that begins again each time that it is ended holds up nobody`, { timeout: 180_000 }, async (t) => {
    const flood = fixture("flood", "calm", 80, kind, 5, "again");
    await using siege = await Siege.start(mesh, server, "http2", "http://calm/", flood, `again-${kind}`);
    const endured = await siege.attack();
    t.diagnostic(`${endured.said.trim()}; ${summary(endured)}`);
    assert.equal(failed(endured), undefined);
    assert.equal(heldUp(endured, 20), undefined);
    await siege.recovered();
  });

test("a flood of connections to a sidecar's own port, from outside the mesh, costs little and holds up nobody", {
  timeout: 120_000,
}, async (t) => {
  const polite = await mesh.run("polite", fixture("steady", "http2", "http://calm/", 50, 60), { endpoints: 0 });
  const sent = () => sentBy(polite.running);
  await until("the client is calm", () => sent().length > 100, { diagnose: () => mesh.diagnose(polite) });
  const [host = "", port = ""] = (await server.workload()).sidecar?.inbound.split(":") ?? [];
  const pid = await server.sidecar();
  const before = memoryOf(pid).resident;
  const began = Date.now();
  const flood = new Running(process.execPath, fixture("connects", host, port, 3_000, 5).slice(1));
  let most = before;
  await until(
    "the flood is over",
    () => {
      most = Math.max(most, memoryOf(pid).resident);
      return flood.isOver;
    },
    { timeoutMs: 60_000, diagnose: () => flood.describe() },
  );
  const ended = Date.now();
  // Those that were under way at the end are part of it.
  await until("a request that began after the flood is over", () => sent().some(({ at }) => at > ended), { timeoutMs: 40_000 });
  const beside = sent().filter(({ at }) => at >= began && at <= ended);
  t.diagnostic(`${flood.stdout.trim()}; ${beside.length} requests; ${(before / 2 ** 20).toFixed(1)} to ${(most / 2 ** 20).toFixed(1)} MB`);
  assert.match(flood.stdout, /^\d{4,} connections/m);
  assert.deepEqual(failures(beside), []);
  assert.ok(most - before < 32 * 1024 * 1024, `the sidecar grew by ${most - before} bytes`);
  await polite.running.stop();
});

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { type Member, Mesh, memoryOf, until } from "@weft/testkit";
import { fixture } from "./fixtures.ts";

// A fast writer and a slow reader: what lies between them waits in the writer, not in the sidecars. Long form: 1 GiB each.

const megabyte = 1024 * 1024;
const megabytes = process.env.WEFT_LONG ? 1024 : 256;

let mesh: Mesh;
let server: Member;
before(async () => {
  mesh = await Mesh.start();
  const ports = [8000, 8001, 8002].flatMap((port) => ["--port", String(port)]);
  server = await mesh.run("large", fixture("large", "serve", 8000), { options: ports });
});
after(() => mesh[Symbol.asyncDispose]());

/** Runs a caller to its end and answers by how many bytes the memory of its sidecar and of the called one grew meanwhile, at most, and what the caller printed. */
async function growth(...args: (string | number)[]): Promise<{ printed: number; called: number; caller: number }> {
  const member = await mesh.run("reader", fixture("large", ...args), { endpoints: 0, stdio: ["pipe", "pipe", "pipe"] });
  await until("a first megabyte was carried", () => member.running.stdout.includes("warm"), { diagnose: () => member.running.describe() });
  const pids = [await server.sidecar(), await member.sidecar()];
  const before = pids.map((pid) => memoryOf(pid).resident);
  const most = [...before];
  member.running.child.stdin?.write("go on\n");
  for (; !member.running.isOver; await delay(50))
    pids.forEach((pid, index) => {
      try {
        most[index] = Math.max(most[index] ?? 0, memoryOf(pid).resident);
      } catch {
        // The caller's sidecar ends with it.
      }
    });
  const { stdout, stderr } = await member.running.ended;
  const [called = 0, caller = 0] = most.map((bytes, index) => bytes - (before[index] ?? 0));
  const printed = Number(stdout.split("\n").find((line) => /^\d+$/.test(line)) ?? Number.NaN);
  assert.ok(!Number.isNaN(printed), stdout + stderr);
  return { printed, called, caller };
}

for (const protocol of ["http1", "http2", "tcp"])
  for (const direction of ["up", "down"])
    test(`${megabytes} MiB ${direction} over ${protocol}: neither sidecar grows by 4 MB`, { timeout: 300_000 }, async (t) => {
      const { printed, called, caller } = await growth("call", protocol, direction, "large", 8000, megabytes);
      t.diagnostic(`called ${(called / megabyte).toFixed(2)} MB, caller ${(caller / megabyte).toFixed(2)} MB`);
      assert.equal(printed, megabytes * megabyte);
      assert.ok(called < 4_000_000 && caller < 4_000_000, `the called sidecar grew by ${called} bytes, the caller's by ${caller}`);
    });

test("50 slow streams of one HTTP/2 connection hold no more than their windows", { timeout: 300_000 }, async (t) => {
  const streams = 50;
  const { printed, called, caller } = await growth("many", "large", 8000, 4, streams);
  t.diagnostic(`called ${(called / megabyte).toFixed(2)} MB, caller ${(caller / megabyte).toFixed(2)} MB`);
  assert.equal(printed, streams * 4 * megabyte);
  // Of each, a window that came and one on its way out.
  const bound = streams * 2 * 65_536 + 2 * megabyte;
  assert.ok(called < bound && caller < bound, `the called sidecar grew by ${called} bytes, the caller's by ${caller}`);
});

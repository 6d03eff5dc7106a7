import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { Check } from "@weft/api";
import { freePort, type Member, Mesh, metricsOf, need, total, unavailable, until } from "@weft/testkit";
import { fill } from "./disk.ts";
import { fixture } from "./fixtures.ts";

// Whatever happens to the controller, callers do not notice.

const rate = 300;

interface Load {
  users: Member;
  /** Requests that the called sidecar has counted. */
  counted(): Promise<number>;
  /** Waits for the load's end and answers what it sent, of which nothing may have failed. */
  sent(): Promise<number>;
}

/** A service and a steady load on it for so many seconds. */
async function underLoad(mesh: Mesh, seconds: number): Promise<Load> {
  const users = await mesh.run("users", fixture("echo", 8080), { options: ["--port", "8080", "--no-publish"] });
  const script = `"$@"; echo finished; exec sleep 600`;
  const load = await mesh.run("load", ["sh", "-c", script, "sh", ...fixture("load", "http://users/", rate, seconds)], { endpoints: 0 });
  const admin = await users.admin();
  const counted = async () => total(await metricsOf(admin), "weft_requests_total", { direction: "inbound" });
  await until("the load has begun", async () => (await counted()) > rate);
  return {
    users,
    counted,
    sent: async () => {
      await until("the load has ended", () => load.running.stdout.includes("finished"), { timeoutMs: (seconds + 60) * 1000 });
      const { sent, ok, failures } = JSON.parse(load.running.stdout.split("\n")[0] ?? "");
      assert.deepEqual({ ok, failures }, { ok: sent, failures: [] });
      return sent;
    },
  };
}

async function checksOf(mesh: Mesh): Promise<{ code: number | null; wrong: Map<string, Check> }> {
  const { code, stdout } = await mesh.weft(["check", "-o", "json"]);
  const checks: Check[] = JSON.parse(stdout);
  return { code, wrong: new Map(checks.filter(({ status }) => status !== "ok").map((check) => [check.name, check])) };
}

/** Requests to users, as the controller counted them since its start. */
const shown = async (mesh: Mesh) =>
  (await mesh.stat()).find(({ service, direction }) => service === "users" && direction === "inbound")?.totals.requests ?? 0;

test(`${rate} requests a second do not notice ten restarts of the controller, and all of them are counted`, {
  timeout: 240_000,
}, async () => {
  await using mesh = await Mesh.start();
  const { counted, sent } = await underLoad(mesh, 60);
  let shownBefore = 0;
  let countedAtEnd = 0;
  for (let restart = 0; restart < 10; restart++) {
    const earlier = await shown(mesh);
    await until("the sidecars are back", async () => (await shown(mesh)) > earlier);
    shownBefore += await shown(mesh);
    if (restart % 3 === 2) await mesh.weft(["down"]);
    else await mesh.killController();
    countedAtEnd = await counted();
    await mesh.up();
  }
  const all = await sent();
  assert.equal(await counted(), all);
  // What the first ten were told, and what the last is told, add up: between what they had shown and what was counted when the tenth ended.
  const { totals } = await mesh.row("users", "inbound", (row) => row.totals.requests >= all - countedAtEnd);
  const acknowledgedBefore = all - totals.requests;
  const bounds = `${shownBefore} <= ${acknowledgedBefore} <= ${countedAtEnd}`;
  assert.ok(acknowledgedBefore >= shownBefore && acknowledgedBefore <= countedAtEnd, bounds);
});

test(`${rate} requests a second do not notice that the controller's disk is full; it says so, refuses what it cannot keep, and mends itself`, {
  timeout: 180_000,
}, async (t) => {
  if (process.getuid?.() !== 0) return unavailable(t, "a disk of its own needs root");
  await using mesh = await Mesh.start();
  await mesh.weft(["down"]);
  rmSync(mesh.state, { recursive: true });
  execFileSync("mkdir", ["-m", "700", mesh.state]);
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=6m,mode=700", "weft-test", mesh.state]);
  try {
    await mesh.up();
    const { sent, users } = await underLoad(mesh, 40);
    const before = await mesh.api.workloads();
    assert.equal((await checksOf(mesh)).wrong.get("registry"), undefined);

    const filler = join(mesh.state, "filler");
    fill(filler, mesh.state);
    const { code, stderr } = await mesh.weft(["run", "newcomer", "--", "true"]);
    assert.equal(code, 1, stderr);
    assert.match(stderr, /WEFT-C-REGISTRY-UNWRITABLE/);
    assert.match(stderr, /Free space/);
    const full = await checksOf(mesh);
    assert.equal(full.code, 1);
    assert.match(full.wrong.get("registry")?.what ?? "", /WEFT-C-REGISTRY-UNWRITABLE/);
    assert.equal(full.wrong.get("disk")?.status, "fail");
    assert.match((await mesh.weft(["status"])).stdout, /the registry cannot be written since .*WEFT-C-REGISTRY-UNWRITABLE/);
    // A sidecar that is started again while nothing can be written is called again all the same, but loses what it carries.
    assert.equal((await mesh.api.workloads()).length, before.length);

    rmSync(filler);
    await until("the controller has mended itself", async () => (await mesh.api.status()).trouble === null);
    assert.equal((await checksOf(mesh)).wrong.get("registry"), undefined);
    const newcomer = await mesh.call("newcomer", fixture("fetch", "http://users/"));
    assert.match(newcomer.stdout, /^200 /, newcomer.stderr);

    const ids = async () => (await mesh.api.workloads()).map(({ id, service, listening }) => ({ id, service, listening }));
    const known = await ids();
    await mesh.killController();
    await mesh.up();
    assert.deepEqual(await ids(), known, "nothing was lost");
    await sent();
    assert.equal((await users.workload()).state, "live");
  } finally {
    await mesh.stop();
    execFileSync("umount", ["-l", mesh.state]);
  }
});

test(`${rate} requests a second do not notice that the controller's clock moves by a day, forward and back; weft check does`, {
  timeout: 180_000,
}, async (t) => {
  const parts = need(t, "libfaketime");
  if (!parts) return;
  await using mesh = await Mesh.start();
  await mesh.weft(["down"]);
  const file = join(mesh.folder, "clock");
  writeFileSync(file, "+0\n");
  const env = {
    ...mesh.env,
    LD_PRELOAD: parts.libfaketime,
    FAKETIME_TIMESTAMP_FILE: file,
    FAKETIME_NO_CACHE: "1",
    FAKETIME_DONT_FAKE_MONOTONIC: "1",
  };
  const { code, stderr } = await mesh.weft(["up", "--page-port", String(await freePort())], { env });
  assert.equal(code, 0, stderr);
  const { counted, sent, users } = await underLoad(mesh, 45);
  const ends = async () => (await users.workload()).sidecar?.stats?.certificateNotAfter;
  const held = await until("the certificate is known", ends);

  for (const [offset, off] of [
    ["+1d", "24.0 h ahead of"],
    ["-1d", "24.0 h behind"],
  ] as const) {
    writeFileSync(file, `${offset}\n`);
    const { wrong } = await until(`weft check says that the clock is ${off}`, async () => {
      const found = await checksOf(mesh);
      return found.wrong.get("clocks")?.what.includes(off) && found;
    });
    assert.equal(wrong.get("clocks")?.status, "fail");
    assert.equal(wrong.get("controller's clock")?.status, "fail");
    const newcomer = await mesh.call("newcomer", ["echo", "started"]);
    assert.match(newcomer.stderr, /WEFT-P-CERTIFICATE-NOT-VALID/, "a certificate that is of no use is not taken");
    assert.equal(newcomer.stdout, "");
    const asked = await counted();
    await until("the load goes on for a while", async () => (await counted()) > asked + 2 * rate);
  }
  writeFileSync(file, "+0\n");
  await until("all is well", async () => !(await checksOf(mesh)).wrong.has("clocks"));
  const newcomer = await mesh.call("newcomer", fixture("fetch", "http://users/"));
  assert.match(newcomer.stdout, /^200 /, newcomer.stderr);
  assert.equal(await ends(), held, "the sidecar kept its certificate");
  await sent();
});

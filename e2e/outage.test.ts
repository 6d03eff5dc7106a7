import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Mesh, metricsOf, total, until } from "@weft/testkit";
import { fixture } from "./fixtures.ts";

// The data plane outlives the control plane.

const awaySeconds = process.env.WEFT_LONG ? 120 : 20;
const rate = 200;

/** When a process was started, in clock ticks: tells it from another one with the same number. */
const startOf = (pid: number) => readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ")[19];

test(`${rate} requests a second do not notice that the controller is away for ${awaySeconds} s`, {
  timeout: (awaySeconds + 90) * 1000,
}, async (t) => {
  await using mesh = await Mesh.start();
  const users = await mesh.run("users", fixture("echo", 8080), { options: ["--port", "8080", "--no-publish"] });
  const seconds = awaySeconds + 14;
  const load = await mesh.run(
    "load",
    ["sh", "-c", `"$@"; echo finished; exec sleep 600`, "sh", ...fixture("load", "http://users/", rate, seconds)],
    {
      endpoints: 0,
    },
  );
  await mesh.row("users", "inbound", ({ totals }) => totals.requests > 2 * rate);
  const admin = await users.admin();
  const counted = async () => total(await metricsOf(admin), "weft_requests_total", { direction: "inbound" });
  const sidecars = [await users.sidecar(), await load.sidecar()];
  const before = sidecars.map(startOf);

  const shownBefore = (await mesh.row("users", "inbound", () => true)).totals.requests;
  await mesh.killController();
  const countedAtKill = await counted();
  // By what goes on, not by the clock: the load is as long as that in any case.
  await until("traffic goes on", async () => (await counted()) - countedAtKill >= rate * awaySeconds, {
    timeoutMs: 2 * awaySeconds * 1000,
  });
  const countedAtReturn = await counted();
  await mesh.up();
  const back = performance.now();

  await mesh.row("users", "inbound", ({ totals }) => totals.requests >= countedAtReturn - countedAtKill);
  const took = (performance.now() - back) / 1000;
  t.diagnostic(`what was counted in ${awaySeconds} s was shown ${took.toFixed(1)} s after the controller's return`);

  await until("the load is over", () => load.running.stdout.includes("finished"), { timeoutMs: 60_000 });
  const { sent, ok, failures } = JSON.parse(load.running.stdout.split("\n")[0] ?? "");
  assert.deepEqual({ ok, failures }, { ok: sent, failures: [] });
  assert.equal(await counted(), sent);

  // What the first controller acknowledged, and what the second was told, add up: between what was shown before the end and what was counted then.
  const { totals } = await mesh.row("users", "inbound", (row) => row.totals.requests >= sent - countedAtKill);
  const acknowledgedBefore = sent - totals.requests;
  assert.ok(
    acknowledgedBefore >= shownBefore && acknowledgedBefore <= countedAtKill,
    `${shownBefore} <= ${acknowledgedBefore} <= ${countedAtKill}`,
  );
  assert.deepEqual(sidecars.map(startOf), before, "no sidecar was restarted");
});

test("what was acknowledged survives kill -9: services keep their virtual addresses, workloads their ids", {
  timeout: 60_000,
}, async () => {
  await using mesh = await Mesh.start();
  await mesh.run("users", fixture("echo", 8080), { options: ["--port", "8080", "--no-publish"] });
  const known = async () => ({
    services: (await mesh.api.services()).map(({ name, virtualAddress }) => `${name} ${virtualAddress}`),
    workloads: (await mesh.api.workloads()).map(({ id, address }) => `${id} ${address}`),
  });
  const before = await known();
  await mesh.killController();
  await mesh.up();
  assert.deepEqual(await known(), before);
  const { stdout, stderr } = await mesh.call("caller", fixture("fetch", "http://users/"));
  assert.match(stdout, /^200 /, stderr);
});

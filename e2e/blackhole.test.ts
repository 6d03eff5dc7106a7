import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { Mesh, unavailable, until } from "@weft/testkit";
import { failures, lately, rate, type Sent, stoodStill, Trial } from "./faults.ts";
import { Network, noNetwork } from "./netns.ts";

// A host that is gone without a word: packets to one replica's sidecar are dropped.

for (const protocol of ["http1", "http2"] as const) {
  test(`a peer that nothing reaches for 10 s costs only what was sent to it in the first second (${protocol})`, {
    timeout: 120_000,
  }, async (t) => {
    const reason = noNetwork();
    if (reason) return unavailable(t, reason);
    using network = new Network();
    await using mesh = await Mesh.start(network.user);
    const trial = await Trial.start(mesh, protocol, 25);
    const { id } = await trial.replicas.second.workload();
    const endpoint = (await mesh.api.services()).flatMap(({ endpoints }) => endpoints).find((one) => one.id === id);
    assert.ok(endpoint, "the replica is an endpoint");
    const lift = network.blackhole(endpoint.inboundPort);
    const began = Date.now();
    await delay(10_000);
    lift();
    const ended = Date.now();
    await until("it is in use again", () => lately(trial.sent(), "second", ended + 1000) > 0.1, { timeoutMs: 30_000 });
    const sent = await trial.all();
    const failed = failures(sent);
    const late = sent.filter(({ at, took }) => at >= began && at < ended && took > 500);
    t.diagnostic(`${sent.length} requests, ${failed.length} failed, ${late.length} took more than half a second`);
    // What was sent before the path was known to be lost, and half a second for a slow machine.
    const early = (one: Sent) => (one.at >= began - 100 && one.at < began + 1500) || stoodStill(sent, one);
    assert.deepEqual(
      failed.filter((one) => !early(one)),
      [],
      JSON.stringify(failed.map((one) => ({ ...one, at: one.at - began }))),
    );
    assert.ok(!failed.some(({ method }) => method === "GET"), "a GET may be repeated");
    const laterLate = late.filter((one) => !early(one));
    assert.ok(laterLate.length <= 3, `nobody waits for probes: ${JSON.stringify(laterLate)}`);
    const its = [...failed, ...late].filter((one) => !stoodStill(sent, one));
    assert.ok(its.length < rate / 3, "it was not sent more than its share of the first second");
  });
}

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { familyOf, Mesh, until } from "@weft/testkit";
import { failures, lately, names, type Protocol, programOf, rate, type Sent, share, stoodStill, Trial, underWay } from "./faults.ts";

// Faults of one of three replicas under a steady load, each with the failures that are allowed.

const told = (sent: readonly Sent[]) => JSON.stringify(sent.slice(0, 20));

/** To be called at once after a kill: what failed was under way then, and is little, and nothing that may be repeated. */
async function costsOnlyWhatWasUnderWay(t: TestContext, trial: Trial, protocol: Protocol): Promise<void> {
  const killed = Date.now();
  const sent = await trial.all();
  const failed = failures(sent);
  t.diagnostic(`${sent.length} requests, ${failed.length} failed`);
  assert.deepEqual(
    failed.filter((one) => !underWay(one, killed)),
    [],
    told(failed),
  );
  assert.ok(failed.length <= 20, told(failed));
  if (protocol !== "tcp") assert.ok(!failed.some(({ method }) => method === "GET"), `a GET may be repeated: ${told(failed)}`);
}

for (const protocol of ["http1", "http2", "tcp"] as const) {
  test(`kill -9 of a program costs only requests that it had (${protocol})`, { timeout: 90_000 }, async (t) => {
    await using mesh = await Mesh.start();
    const trial = await Trial.start(mesh, protocol, 8);
    process.kill(await programOf(trial.replicas.first), "SIGKILL");
    await costsOnlyWhatWasUnderWay(t, trial, protocol);
  });
}

for (const protocol of ["http1", "http2"] as const) {
  test(`kill -9 of a program with its sidecar and its launcher costs only requests that they had (${protocol})`, {
    timeout: 90_000,
  }, async (t) => {
    await using mesh = await Mesh.start();
    const trial = await Trial.start(mesh, protocol, 8);
    for (const pid of familyOf(trial.replicas.second.running.pid)) process.kill(pid, "SIGKILL");
    await costsOnlyWhatWasUnderWay(t, trial, protocol);
  });

  test(`replicas that are told to end one after the other, each after a new one came, cost nothing (${protocol})`, {
    timeout: 90_000,
  }, async (t) => {
    await using mesh = await Mesh.start();
    const trial = await Trial.start(mesh, protocol, 15);
    for (const name of names) {
      const ended = trial.replicas[name].running.stop();
      const successor = Trial.replica(mesh, `${name}-successor`, 3, protocol);
      await Promise.all([ended, successor]);
    }
    const sent = await trial.all();
    t.diagnostic(`${sent.length} requests; answered by ${[...new Set(sent.map(({ by }) => by))].join(", ")}`);
    assert.deepEqual(failures(sent), []);
    for (const name of names)
      assert.ok(
        sent.some(({ by }) => by === `${name}-successor`),
        name,
      );
  });

  test(`a program that is stopped keeps what it had and gets at most one request a second until it goes on (${protocol})`, {
    timeout: 90_000,
  }, async (t) => {
    await using mesh = await Mesh.start();
    const trial = await Trial.start(mesh, protocol, 22);
    const program = await programOf(trial.replicas.third);
    process.kill(program, "SIGSTOP");
    const stopped = Date.now();
    const others = () => trial.sent().filter(({ at, by }) => by !== "third" && at > stopped);
    await until("the others answer meanwhile", () => others().length > rate * 5, { timeoutMs: 30_000 });
    const resumed = Date.now();
    process.kill(program, "SIGCONT");
    await until("it is in use again", () => lately(trial.sent(), "third", resumed + 1000) > 0.1, { timeoutMs: 30_000 });
    const sent = await trial.all();
    assert.deepEqual(failures(sent), []);
    const held = sent.filter((one) => one.by === "third" && one.at < resumed && one.at + one.took >= resumed);
    const probes = held.filter((one) => one.at > stopped + 1200 && !stoodStill(sent, one));
    t.diagnostic(`it held ${held.length - probes.length} requests of the first second and ${probes.length} later ones`);
    assert.ok(probes.length <= Math.ceil((resumed - stopped) / 1000), told(probes));
  });
}

test("an endpoint fifty times slower is not felt by the slowest hundredth after 5 s", { timeout: 90_000 }, async (t) => {
  await using mesh = await Mesh.start();
  const trial = await Trial.start(mesh, "http1", 15, 10);
  const slowed = Date.now();
  process.kill(await programOf(trial.replicas.first), "SIGUSR2");
  const sent = await trial.all();
  assert.deepEqual(failures(sent), []);
  // Counted, not timed: what the machine does to the latencies of all is no fault of the one.
  const felt = share(sent, "first", slowed + 5000, Number.POSITIVE_INFINITY);
  t.diagnostic(`it answered ${(share(sent, "first", 0, slowed) * 100).toFixed(1)} % before, ${(felt * 100).toFixed(2)} % after`);
  assert.ok(felt < 0.01, `${felt * 100} % of the requests felt it`);
});

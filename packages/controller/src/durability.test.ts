import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { ApiClient, type RegisteredWorkload } from "@weft/api";
import { eventually, running, temporaryDirectory } from "./testing/controllers.ts";
import { FakeSidecar } from "./testing/fake-sidecar.ts";
import { spawnController } from "./testing/process.ts";

const args = (stateDir: string) => ["--state", stateDir, "--page-port", "0"];

test("killed at any moment, it loses nothing that it acknowledged, and brings nothing back that it removed", async (t) => {
  const stateDir = join(temporaryDirectory(t), "state");
  const api = new ApiClient(stateDir);
  const present = new Map<string, RegisteredWorkload>();
  // A deletion that was not acknowledged may have happened or not.
  const unsure = new Set<string>();
  for (let round = 0; round < 6; round++) {
    const { child, ready, ended } = spawnController(t, args(stateDir));
    await ready;
    const found = new Map((await api.workloads()).map((workload) => [workload.id, workload]));
    for (const [id, { address, service }] of present) {
      if (unsure.has(id)) continue;
      assert.deepEqual([found.get(id)?.address, found.get(id)?.service], [address, service], `${id} was acknowledged and is lost`);
    }
    for (const id of unsure) present.delete(id);
    unsure.clear();
    const killAfter = 10 + 6 * round;
    try {
      for (let index = 0; ; index++) {
        const workload = await api.registerWorkload({ service: `s${index % 5}`, pid: 1 });
        present.set(workload.id, workload);
        // Somewhere within the next calls.
        if (index === killAfter) setTimeout(() => child.kill("SIGKILL"), 2 * round);
        if (index % 3 !== 0) continue;
        const [id] = present.keys() as unknown as [string];
        unsure.add(id);
        await api.deleteWorkload(id);
        present.delete(id);
        unsure.delete(id);
        assert.equal(
          (await api.workloads()).some((each) => each.id === id),
          false,
        );
      }
    } catch (error) {
      assert.match((error as { code?: string }).code ?? "", /WEFT-L-CONTROLLER/, String(error));
    }
    assert.equal(await ended, "SIGKILL");
  }
  assert.ok(present.size > 20, `only ${present.size} workloads are left of those that were registered`);
});

test("virtual addresses survive kill -9, and are kept for a deleted service", async (t) => {
  const stateDir = join(temporaryDirectory(t), "state");
  const api = new ApiClient(stateDir);
  const ports = [{ servicePort: 80, targetPort: 80 }];
  const addressOf = async (name: string) => (await api.services()).find((service) => service.name === name)?.virtualAddress;
  const first = spawnController(t, args(stateDir));
  await first.ready;
  const a = await api.registerWorkload({ service: "a", ports, pid: 1 });
  await api.registerWorkload({ service: "b", ports, pid: 1 });
  const [ofA, ofB] = [await addressOf("a"), await addressOf("b")];
  await api.deleteWorkload(a.id);
  first.child.kill("SIGKILL");
  await first.ended;

  await running(t, { stateDir });
  assert.equal(await addressOf("b"), ofB);
  assert.equal(await addressOf("a"), undefined);
  await api.registerWorkload({ service: "c", ports, pid: 1 });
  assert.equal([ofA, ofB].includes(await addressOf("c")), false);
  const again = await api.registerWorkload({ service: "a", ports, pid: 1 });
  assert.equal(await addressOf("a"), ofA);
  assert.notEqual(again.address, a.address);
});

test("when nothing more can be written, changes are refused with the reason, and sidecars go on", async (t) => {
  const stateDir = join(temporaryDirectory(t), "state");
  // A limit of 512-byte blocks to each file stands for a full disk.
  const { ready } = spawnController(t, args(stateDir), "ulimit -f 1000");
  await ready;
  const sidecar = await FakeSidecar.register(stateDir, { service: "users", ports: [{ servicePort: 80, targetPort: 8080 }] });
  t.after(() => sidecar.disconnect());
  await sidecar.certify();
  const policy = sidecar.watch([]);
  const command = ["x".repeat(4000), "y".repeat(4000)];
  const fill = async () => {
    for (;;) await sidecar.api.registerWorkload({ service: "filler", pid: 1, command });
  };
  await assert.rejects(fill, (error: { code: string; message: string }) => {
    assert.equal(error.code, "WEFT-C-REGISTRY-UNWRITABLE");
    assert.match(error.message, /registry\.db/);
    return true;
  });
  policy.sent.push({ request: { case: "listening", value: { ports: [8080] } } });
  await eventually(async () => (await sidecar.api.services()).find(({ name }) => name === "users")?.endpoints.length === 1);
  await sidecar.certify();
});

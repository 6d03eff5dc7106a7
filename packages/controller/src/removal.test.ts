import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { join } from "node:path";
import { test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { ApiClient } from "@weft/api";
import type { TrustBundle, WorkloadWatchResponse } from "@weft/api/proto";
import { eventually, running, temporaryDirectory } from "./testing/controllers.ts";
import { certificationRequest, FakeSidecar } from "./testing/fake-sidecar.ts";
import { spawnController } from "./testing/process.ts";

// What becomes of a workload that a person removes, while its launcher and its sidecar go on.

const day = 24 * 3600;
const ports = [{ servicePort: 80, targetPort: 8080 }];
const bundlesIn = (received: WorkloadWatchResponse[]): TrustBundle[] =>
  received.flatMap(({ response }) => (response.case === "trustBundle" ? [response.value] : []));

/** The first 8 octets of the serial number of a sidecar's certificate. */
function prefixOf(sidecar: FakeSidecar): bigint {
  const [leaf] = sidecar.certificate?.certificateChain ?? [];
  const { serialNumber } = new X509Certificate(Buffer.from(leaf as Uint8Array));
  return BigInt(`0x${serialNumber.slice(0, 16)}`);
}

async function certified(stateDir: string, service: string): Promise<FakeSidecar> {
  const sidecar = await FakeSidecar.register(stateDir, { service, ports });
  await sidecar.certify();
  return sidecar;
}

const again = (sidecar: FakeSidecar) => ({
  service: sidecar.workload.service,
  ports,
  publish: [],
  address: sidecar.workload.address,
  command: ["sleep"],
  pid: process.pid,
});

test("all certificates of a workload begin alike, and those of no two workloads do", async (t) => {
  const { stateDir } = await running(t);
  const users = await certified(stateDir, "users");
  const other = await certified(stateDir, "users");
  t.after(() => users.disconnect());
  t.after(() => other.disconnect());
  const first = users.certificate?.certificateChain[0];
  const prefix = prefixOf(users);
  await users.certify();
  assert.notDeepEqual(users.certificate?.certificateChain[0], first);
  assert.equal(prefixOf(users), prefix);
  assert.notEqual(prefixOf(other), prefix);
});

test("when a person removes a workload every sidecar hears at once that its certificates are refused, in a newer bundle", async (t) => {
  const { stateDir } = await running(t);
  const [users, web] = [await certified(stateDir, "users"), await certified(stateDir, "web")];
  t.after(() => users.disconnect());
  t.after(() => web.disconnect());
  const bundles = web.watch();
  const before = await bundles.until((received) => bundlesIn(received).at(-1));
  assert.deepEqual(before.revocations, []);
  await users.api.deleteWorkload(users.workload.id);
  const after = await bundles.until((received) => bundlesIn(received).find((each) => each.revocations.length === 1));
  assert.ok(after.revision > before.revision);
  assert.deepEqual(after.anchors, before.anchors);
  assert.equal(after.revocations[0]?.serialPrefix, prefixOf(users));
  const left = Number(after.revocations[0]?.until) - Date.now() / 1000;
  assert.ok(left > day && left < day + 600, `refused for ${left} s`);
  const { trustBundle } = await web.certify();
  assert.deepEqual(
    [trustBundle?.revision, trustBundle?.revocations],
    [after.revision, after.revocations],
    "a certificate comes with it, too",
  );
});

test("a sidecar that does not take the newest trust bundle is named, and what it says of it is heard", async (t) => {
  const { stateDir } = await running(t);
  const [users, web] = [await certified(stateDir, "users"), await certified(stateDir, "web")];
  t.after(() => users.disconnect());
  t.after(() => web.disconnect());
  const stream = web.watch([8080]);
  const first = await stream.until((received) => bundlesIn(received).at(-1));
  const checkOf = async (name: string) => (await web.api.checks()).find((check) => check.name === name);
  assert.equal((await checkOf("trust"))?.status, "ok");
  await users.api.deleteWorkload(users.workload.id);
  const { revision } = await stream.until((received) => bundlesIn(received).find((each) => each.revision > first.revision));
  // As a sidecar that went back to the bundle before.
  const update = (value: bigint) => ({ update: { case: "trustBundle" as const, value } });
  stream.sent.push({ request: { case: "acknowledgement", value: update(first.revision) } });
  stream.sent.push({ request: { case: "rejection", value: { rejected: update(revision), reason: "no anchor in it" } } });
  await eventually(async () => (await checkOf("trust"))?.status === "fail");
  assert.match((await checkOf("trust"))?.what ?? "", new RegExp(web.workload.id));
  assert.match((await checkOf("updates"))?.what ?? "", /"trust bundle": no anchor in it/);
  stream.sent.push({ request: { case: "acknowledgement", value: update(revision) } });
  await eventually(async () => (await checkOf("trust"))?.status === "ok");
});

test("a removed workload's streams end, and neither its credential nor its launcher brings it back", async (t) => {
  const { stateDir } = await running(t);
  const users = await certified(stateDir, "users");
  t.after(() => users.disconnect());
  const streams = [users.discovery(), users.watch([8080]), users.telemetry(), users.tap(), users.inspect()];
  for (const stream of streams) await stream.until((received: unknown[]) => received[0]);
  await users.api.deleteWorkload(users.workload.id);
  for (const stream of streams) {
    const error = (await stream.ended) as ConnectError;
    assert.ok(error instanceof ConnectError && error.code === Code.NotFound, String(error));
    assert.match(error.message, /WEFT-C-WORKLOAD-REMOVED/);
  }
  const proof = { case: "credential", value: users.certificate?.credential ?? "" } as const;
  await assert.rejects(users.identity.certify({ csr: await certificationRequest(), proof }), (error: ConnectError) => {
    assert.equal(error.code, Code.NotFound);
    return /WEFT-C-WORKLOAD-REMOVED/.test(error.message);
  });
  const { id } = users.workload;
  const removed = { code: "WEFT-C-WORKLOAD-REMOVED" };
  await assert.rejects(users.api.token(id), removed);
  await assert.rejects(users.api.registerAgain(id, again(users)), removed);
  await assert.rejects(users.api.endWorkload(id), removed);
  assert.deepEqual(await users.api.workloads(), []);
});

test("a workload whose program ended is not refused anything: its key ended with its sidecar", async (t) => {
  const { stateDir } = await running(t);
  const [users, web] = [await certified(stateDir, "users"), await certified(stateDir, "web")];
  t.after(() => users.disconnect());
  t.after(() => web.disconnect());
  await users.api.endWorkload(users.workload.id);
  assert.deepEqual((await web.certify()).trustBundle?.revocations, []);
  await users.api.registerAgain(users.workload.id, again(users));
  assert.equal((await users.api.workloads()).length, 2, "as one that was forgotten");
});

test("a removal survives kill -9 of the controller, and bundles' revisions grow over it", async (t) => {
  const stateDir = join(temporaryDirectory(t), "state");
  const args = ["--state", stateDir, "--page-port", "0"];
  const first = spawnController(t, args);
  await first.ready;
  const users = await certified(stateDir, "users");
  const { id } = users.workload;
  await users.api.deleteWorkload(id);
  const { trustBundle: before } = await (await certified(stateDir, "web")).certify();
  first.child.kill("SIGKILL");
  await first.ended;
  users.disconnect();

  await running(t, { stateDir });
  const web = await certified(stateDir, "web");
  t.after(() => web.disconnect());
  const after = web.certificate?.trustBundle as TrustBundle;
  assert.deepEqual(after.revocations, before?.revocations);
  assert.equal(after.revocations[0]?.serialPrefix, prefixOf(users));
  assert.ok(after.revision > (before?.revision ?? 0n));
  await assert.rejects(new ApiClient(stateDir).registerAgain(id, again(users)), { code: "WEFT-C-WORKLOAD-REMOVED" });
});

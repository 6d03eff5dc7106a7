import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { ApiClient } from "@weft/api";
import {
  type Alias,
  type DiscoveryWatchResponse,
  ResourceType,
  type ResourceVersion,
  type Update,
  type WorkloadWatchResponse,
} from "@weft/api/proto";
import { maxStreamsPerWorkload } from "./serve/streams.ts";
import { eventually, running } from "./testing/controllers.ts";
import { certificationRequest, FakeSidecar } from "./testing/fake-sidecar.ts";

const ports = [{ servicePort: 80, targetPort: 8080 }];
const resolve = (alias: string) => ({ request: { case: "resolve" as const, value: { alias } } });
const { SERVICE, ENDPOINTS } = ResourceType;

/** Updates of a resource. */
function updates(received: DiscoveryWatchResponse[], type: ResourceType, name: string): Update[] {
  return received.flatMap(({ response }) =>
    response.case === "update" && response.value.resource?.type === type && response.value.resource.name === name ? [response.value] : [],
  );
}

/** Sets of endpoints that were sent of "users.default", whole or as differences. */
const endpointsSent = (received: DiscoveryWatchResponse[]) =>
  updates(received, ENDPOINTS, "users.default").flatMap(({ base, content }) =>
    content.case === "endpoints" ? [{ base, ...content.value }] : [],
  );

const aliases = (received: DiscoveryWatchResponse[], alias: string): Alias[] =>
  received.flatMap(({ response }) => (response.case === "alias" && response.value.alias === alias ? [response.value] : []));

const lastPolicy = (received: WorkloadWatchResponse[]) =>
  received.flatMap(({ response }) => (response.case === "inbound" ? [response.value] : [])).at(-1);

async function live(stateDir: string, body: Parameters<typeof FakeSidecar.register>[1], listening?: number[]) {
  const sidecar = await FakeSidecar.register(stateDir, body);
  await sidecar.certify();
  const policy = sidecar.watch(listening);
  await policy.until(lastPolicy);
  return { sidecar, policy };
}

test("a token gives a certificate with the workload's identity and address, signed by the bundle's root", async (t) => {
  const { stateDir } = await running(t);
  const sidecar = await FakeSidecar.register(stateDir, { service: "users", ports });
  t.after(() => sidecar.disconnect());
  const { certificateChain, trustBundle, identity, notBefore, notAfter } = await sidecar.certify();
  const leaf = new X509Certificate(Buffer.from(certificateChain[0] as Uint8Array));
  const root = new X509Certificate(Buffer.from(trustBundle?.anchors[0] as Uint8Array));
  assert.equal(identity, "spiffe://weft.local/ns/default/sa/users");
  assert.equal(leaf.subjectAltName, `URI:${identity}, IP Address:${sidecar.workload.address}`);
  assert.ok(leaf.verify(root.publicKey) && leaf.checkIssued(root) && !leaf.ca && root.ca);
  assert.deepEqual(leaf.keyUsage, ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"]);
  assert.equal(Number(notBefore), Math.floor(leaf.validFromDate.getTime() / 1000));
  const seconds = Number(notAfter) - Date.now() / 1000;
  assert.ok(seconds > 24 * 3600 - 60 && seconds <= 24 * 3600);
});

test("a token works once; a credential renews; neither helps when it is forged", async (t) => {
  const { stateDir } = await running(t);
  const sidecar = await FakeSidecar.register(stateDir, { ports });
  t.after(() => sidecar.disconnect());
  const csr = await certificationRequest();
  const token = await sidecar.api.token(sidecar.workload.id);
  const first = await sidecar.identity.certify({ csr, proof: { case: "oneTimeToken", value: token } });
  const code = (error: unknown) => (error as ConnectError).code;
  const refused = (proof: Parameters<typeof sidecar.identity.certify>[0]["proof"]) =>
    sidecar.identity.certify({ csr, proof: proof as never }).then(() => "accepted", code);
  assert.equal(await refused({ case: "oneTimeToken", value: token }), Code.Unauthenticated);
  assert.equal(await refused({ case: "credential", value: `${first.credential.slice(0, -4)}AAAA` }), Code.Unauthenticated);
  assert.equal(await refused({ case: undefined }), Code.Unauthenticated);
  assert.equal(await refused({ case: "credential", value: first.credential }), "accepted");
  await sidecar.api.deleteWorkload(sidecar.workload.id);
  assert.equal(await refused({ case: "credential", value: first.credential }), Code.NotFound);
});

test("certification requests that are garbage, badly signed, or for another kind of key are refused", async (t) => {
  const { stateDir } = await running(t);
  const sidecar = await FakeSidecar.register(stateDir, { ports });
  t.after(() => sidecar.disconnect());
  const tampered = await certificationRequest();
  (tampered[tampered.length - 1] as number) ^= 1;
  const wrongCurve = await certificationRequest({ name: "ECDSA", namedCurve: "P-384", hash: "SHA-384" });
  for (const csr of [new Uint8Array(), Buffer.from("garbage"), tampered, wrongCurve]) {
    const value = await sidecar.api.token(sidecar.workload.id);
    await assert.rejects(sidecar.identity.certify({ csr, proof: { case: "oneTimeToken", value } }), (error: ConnectError) => {
      assert.equal(error.code, Code.InvalidArgument);
      assert.match(error.message, /WEFT-C-CSR-INVALID/);
      return true;
    });
  }
});

test("streams without a credential are refused, and so are streams that do not begin with Hello", async (t) => {
  const { stateDir } = await running(t);
  const sidecar = await FakeSidecar.register(stateDir, { ports });
  t.after(() => sidecar.disconnect());
  for (const stream of [sidecar.discovery(), sidecar.watch(), sidecar.telemetry()]) {
    const error = (await stream.ended) as ConnectError;
    assert.ok(error instanceof ConnectError && error.code === Code.Unauthenticated, String(error));
  }
  await sidecar.certify();
  const rude = sidecar.discovery(false);
  rude.sent.push(resolve("users"));
  assert.match(String(await rude.ended), /WEFT-C-STREAM-VIOLATION.*Hello/);
});

test("one workload may open only so many streams, and may again when some end", async (t) => {
  const { stateDir } = await running(t);
  const sidecar = await FakeSidecar.register(stateDir, { ports });
  t.after(() => sidecar.disconnect());
  await sidecar.certify();
  const greeted = (received: DiscoveryWatchResponse[]) => received[0]?.response.case === "hello" || undefined;
  const streams = Array.from({ length: maxStreamsPerWorkload }, () => sidecar.discovery());
  for (const stream of streams) await stream.until(greeted);
  const refused = (await sidecar.discovery().ended) as ConnectError;
  assert.equal(refused.code, Code.ResourceExhausted);
  assert.match(refused.message, /WEFT-C-TOO-MANY/);
  for (const stream of streams) stream.sent.end();
  for (const stream of streams) await stream.ended;
  assert.equal(await sidecar.discovery().until(greeted), true);
});

test("a caller sees a service appear, its endpoint come when its program listens and go with its sidecar", async (t) => {
  const { stateDir } = await running(t, { patience: { graceMs: 50 } });
  const { sidecar: web } = await live(stateDir, { service: "web" });
  t.after(() => web.disconnect());
  const discovery = web.discovery();
  discovery.sent.push(resolve("users"));
  const missing = await discovery.until((received) => aliases(received, "users")[0]);
  assert.equal(missing.service, "");

  const { sidecar: users, policy } = await live(stateDir, { service: "users", ports });
  t.after(() => users.disconnect());
  await discovery.until((received) => aliases(received, "users").find(({ service }) => service === "users.default"));
  const [service] = updates(discovery.received, SERVICE, "users.default");
  assert.ok(service?.content.case === "service");
  assert.match(service.content.value.addresses[0] ?? "", /^198\.18\./);
  assert.deepEqual(
    service.content.value.ports.map(({ port }) => port),
    [80],
  );
  assert.deepEqual(endpointsSent(discovery.received)[0]?.endpoints, []);

  policy.sent.push({ request: { case: "listening", value: { ports: [8080] } } });
  const offered = await discovery.until((received) => endpointsSent(received).find(({ endpoints }) => endpoints.length > 0));
  const [endpoint] = offered.endpoints;
  assert.equal(endpoint?.id, users.workload.id);
  assert.deepEqual(endpoint?.identities, [users.workload.identity]);
  assert.deepEqual([endpoint?.addresses, endpoint?.inboundPort], [["127.0.0.1"], 30_000]);
  assert.deepEqual([endpoint?.ports[0]?.servicePort, endpoint?.ports[0]?.targetPort], [80, 8080]);

  users.disconnect();
  await discovery.until((received) => (endpointsSent(received).at(-1)?.endpoints.length === 0 ? true : undefined));
  await users.api.deleteWorkload(users.workload.id);
  await discovery.until((received) => (aliases(received, "users").at(-1)?.service === "" ? true : undefined));
});

test("a sidecar that says goodbye is withdrawn at once; one that is cut off only after the grace", async (t) => {
  const { stateDir } = await running(t, { patience: { graceMs: 600_000, returnMs: 1_200_000 } });
  const [polite, cut] = [
    await live(stateDir, { service: "polite", ports }, [8080]),
    await live(stateDir, { service: "cut", ports }, [8080]),
  ];
  const endpoints = async (name: string) =>
    (await polite.sidecar.api.services()).find((service) => service.name === name)?.endpoints.length;
  await eventually(async () => (await endpoints("polite")) === 1 && (await endpoints("cut")) === 1);
  cut.sidecar.disconnect();
  await eventually(async () => (await polite.sidecar.api.workloads()).some(({ state }) => state === "away"));
  assert.equal(await endpoints("cut"), 1);
  polite.policy.sent.end();
  assert.equal(await polite.policy.ended, undefined);
  await eventually(async () => (await endpoints("polite")) === 0);
  polite.sidecar.disconnect();
});

test("names with namespace and .weft, and virtual addresses, lead to the service; others are not found", async (t) => {
  const { stateDir } = await running(t);
  const { sidecar: users } = await live(stateDir, { service: "users", ports }, [8080]);
  const { sidecar: other } = await live(stateDir, { service: "users", namespace: "other", ports }, [8080]);
  t.after(() => [users, other].map((sidecar) => sidecar.disconnect()));
  const discovery = users.discovery();
  const [service] = await users.api.services();
  const names = ["users", "users.default", "users.weft", "users.default.weft", "USERS.", service?.virtualAddress as string];
  for (const name of [...names, "users.other", "a.b.c", "-", ""]) discovery.sent.push(resolve(name));
  const answer = (name: string) => discovery.until((received) => aliases(received, name)[0]);
  for (const name of names) assert.equal((await answer(name)).service, "users.default", name);
  assert.equal((await answer("users.other")).service, "users.other");
  for (const name of ["a.b.c", "-", ""]) assert.equal((await answer(name)).service, "", name);
  assert.equal(updates(discovery.received, SERVICE, "users.default").length, 1, "once, however many names lead to it");
});

test("a sidecar that reconnects gets only what changed since the version that it holds", async (t) => {
  const { stateDir } = await running(t);
  const { sidecar: first } = await live(stateDir, { service: "users", ports }, [8080]);
  t.after(() => first.disconnect());
  const one = first.discovery();
  one.sent.push(resolve("users"));
  await one.until((received) => aliases(received, "users")[0]);
  const held = updates(one.received, ENDPOINTS, "users.default")[0]?.resource as ResourceVersion;
  const service = updates(one.received, SERVICE, "users.default")[0]?.resource as ResourceVersion;
  one.aborted.abort();
  const more = await Promise.all([1, 2].map(() => live(stateDir, { service: "users", ports }, [8080])));
  t.after(() => more.map(({ sidecar }) => sidecar.disconnect()));
  await eventually(async () => (await first.api.services())[0]?.endpoints.length === 3);

  const two = first.discovery();
  two.sent.push({ request: { case: "held", value: { resources: [held, service] } } });
  two.sent.push(resolve("users"));
  await two.until((received) => aliases(received, "users")[0]);
  assert.deepEqual(updates(two.received, SERVICE, "users.default"), []);
  const [difference, ...rest] = endpointsSent(two.received);
  assert.deepEqual([difference?.base, rest], [held.version, []]);
  assert.deepEqual(
    difference?.endpoints.map(({ id }) => id),
    more.map(({ sidecar }) => sidecar.workload.id).sort(),
  );
});

test("after a restart of the controller the endpoints are offered as before, and a workload that stays away is forgotten", async (t) => {
  const { stateDir, controller } = await running(t);
  const { sidecar: users } = await live(stateDir, { service: "users", ports }, [8080]);
  const { sidecar: gone } = await live(stateDir, { service: "gone", ports }, [8080]);
  await eventually(async () => (await users.api.services()).every(({ endpoints }) => endpoints.length === 1));
  const before = await users.api.services();
  await controller.stop();
  gone.disconnect();

  await running(t, { stateDir, patience: { returnMs: 400 } });
  assert.deepEqual(await users.api.services(), before);
  const again = users.reconnect(stateDir);
  t.after(() => again.disconnect());
  const policy = again.watch([8080]);
  await policy.until(lastPolicy);
  await eventually(async () => (await users.api.workloads()).length === 1);
  assert.deepEqual(
    (await users.api.workloads()).map(({ id, state }) => [id, state]),
    [[users.workload.id, "live"]],
  );
  const late = gone.reconnect(stateDir);
  t.after(() => late.disconnect());
  assert.equal(((await late.watch().ended) as ConnectError).code, Code.NotFound);
});

test("a workload that was forgotten is registered again under its id and address, and is called again", async (t) => {
  const { stateDir } = await running(t, { patience: { graceMs: 20, returnMs: 60 } });
  const { sidecar: first } = await live(stateDir, { service: "users", ports }, [8080]);
  first.disconnect();
  await eventually(async () => (await first.api.workloads()).length === 0);
  const late = first.reconnect(stateDir);
  assert.equal(((await late.watch().ended) as ConnectError).code, Code.NotFound);
  await assert.rejects(late.api.token(first.workload.id), { code: "WEFT-C-WORKLOAD-UNKNOWN" });

  const { id, address } = first.workload;
  const registration = { service: "users", ports, pid: process.pid, address };
  const again = await late.api.registerAgain(id, registration);
  assert.deepEqual([again.id, again.address, again.virtualAddress], [id, address, first.workload.virtualAddress]);
  assert.deepEqual(await late.api.registerAgain(id, registration), again, "saying it twice changes nothing");
  await assert.rejects(late.api.registerAgain(id, { ...registration, service: "web" }), { code: "WEFT-C-WORKLOAD-CONFLICT" });
  await late.certify();
  const policy = late.watch([8080]);
  await policy.until(lastPolicy);
  await eventually(async () => (await late.api.services())[0]?.endpoints[0]?.id === id);
  policy.aborted.abort();
  late.disconnect();
});

test("a workload comes back with another address when its own was given away", async (t) => {
  const { stateDir } = await running(t);
  const api = new ApiClient(stateDir);
  const other = await api.registerWorkload({ service: "web", pid: process.pid });
  const again = await api.registerAgain("w-0123456789", { service: "users", pid: process.pid, address: other.address });
  assert.notEqual(again.address, other.address);
  assert.match(again.address, /^198\.19\./);
  await assert.rejects(api.registerAgain("users", { service: "users", pid: 1, address: "198.19.0.9" }), { code: "WEFT-C-BODY-INVALID" });
});

test("a workload whose launcher is gone is forgotten as soon as its connection breaks", async (t) => {
  const { stateDir } = await running(t, { patience: { graceMs: 60_000, returnMs: 60_000 } });
  const launcher = spawn("sleep", ["60"]);
  t.after(() => launcher.kill("SIGKILL"));
  const { sidecar } = await live(stateDir, { service: "users", ports, pid: launcher.pid as number }, [8080]);
  launcher.kill("SIGKILL");
  await once(launcher, "exit");
  assert.equal((await sidecar.api.workloads()).length, 1);
  sidecar.disconnect();
  await eventually(async () => (await sidecar.api.workloads()).length === 0);
});

test("a certificate request that cannot be used does not use up its token", async (t) => {
  const { stateDir } = await running(t);
  const sidecar = await FakeSidecar.register(stateDir, { ports });
  t.after(() => sidecar.disconnect());
  const proof = { case: "oneTimeToken" as const, value: await sidecar.api.token(sidecar.workload.id) };
  await assert.rejects(sidecar.identity.certify({ csr: new Uint8Array([1, 2, 3]), proof }), /WEFT-C-CSR-INVALID/);
  assert.equal((await sidecar.identity.certify({ csr: await certificationRequest(), proof })).certificateChain.length, 1);
});

test("a workload whose sidecar never connects is removed", async (t) => {
  const { stateDir } = await running(t, { patience: { connectMs: 50 } });
  const { api } = await FakeSidecar.register(stateDir, { ports });
  await eventually(async () => (await api.workloads()).length === 0);
});

test("without declared ports a workload serves what its program listens on, and 80 too when that is one port", async (t) => {
  const { stateDir } = await running(t);
  const { sidecar, policy } = await live(stateDir, { service: "auto" });
  t.after(() => sidecar.disconnect());
  assert.deepEqual(await sidecar.api.services(), []);
  const served = async (listening: number[]) => {
    policy.sent.push({ request: { case: "listening", value: { ports: listening } } });
    return policy.until((received) => {
      const ports = lastPolicy(received)?.ports.map(({ servicePort, targetPort }) => `${servicePort}:${targetPort}`);
      return ports?.some((port) => port.endsWith(`:${listening.at(-1)}`)) ? ports : undefined;
    });
  };
  assert.deepEqual(await served([3000]), ["80:3000", "3000:3000"]);
  assert.deepEqual(await served([3000, 4000]), ["3000:3000", "4000:4000"]);
  assert.deepEqual((await sidecar.api.services())[0]?.ports, [{ port: 3000 }, { port: 4000 }]);
});

test("in proxy mode, where a program's ports cannot be seen, declared ports are offered", async (t) => {
  const { stateDir } = await running(t);
  const { sidecar } = await live(stateDir, { service: "users", ports });
  t.after(() => sidecar.disconnect());
  assert.equal((await sidecar.api.services())[0]?.endpoints.length, 0);
  await sidecar.api.launched(sidecar.workload.id, { redirection: "proxy", reason: "no user namespaces", pid: 1 });
  assert.equal((await sidecar.api.services())[0]?.endpoints.length, 1);
});

test("an endpoint without a sidecar is offered in clear until it is removed", async (t) => {
  const { stateDir } = await running(t);
  const api = new ApiClient(stateDir);
  const { id } = await api.registerEndpoint({
    service: "db",
    address: "127.0.0.1",
    ports: [{ servicePort: 5432, targetPort: 5432, protocol: "tcp" }],
  });
  const [service] = await api.services();
  assert.deepEqual(service?.ports, [{ port: 5432, protocol: "tcp" }]);
  assert.deepEqual([service?.endpoints[0]?.id, service?.endpoints[0]?.inboundPort, service?.endpoints[0]?.identity], [id, 0, ""]);
  await api.deleteEndpoint(id);
  assert.deepEqual(await api.services(), []);
});

test("what a sidecar carries of the contract is as it says, and bounded", async (t) => {
  const { stateDir } = await running(t);
  const { sidecar } = await live(stateDir, { service: "users" }, [8080]);
  t.after(() => sidecar.disconnect());
  const [workload] = await sidecar.api.workloads();
  assert.deepEqual(workload?.sidecar?.capabilities, ["routes"]);
  const boastful = sidecar.watch([8080], 30_000, Array(33).fill("routes"));
  assert.match(String(await boastful.ended), /WEFT-C-STREAM-VIOLATION.*32 capabilities/);
});

import assert from "node:assert/strict";
import { connect } from "node:net";
import { type TestContext, test } from "node:test";
import { ApiClient, statePaths, type TapLine, type TapQuery } from "@weft/api";
import { Direction, EndpointState, Protocol, type TapServeResponse, type TapStart } from "@weft/api/proto";
import { eventually, running } from "./testing/controllers.ts";
import { FakeSidecar } from "./testing/fake-sidecar.ts";

const started = (received: TapServeResponse[]): TapStart | undefined =>
  received.flatMap(({ response }) => (response.case === "start" ? [response.value] : [])).at(-1);
const stopped = (received: TapServeResponse[]) => received.find(({ response }) => response.case === "stop");

type Mesh = Awaited<ReturnType<typeof running>>;

async function connected(t: TestContext, mesh: Mesh, service: string) {
  const sidecar = await FakeSidecar.register(mesh.stateDir, { service, ports: [{ servicePort: 80, targetPort: 8080 }] });
  await sidecar.certify();
  t.after(() => sidecar.disconnect());
  const stream = sidecar.tap();
  await eventually(() => mesh.controller.taps.reaches(sidecar.workload.id), "the sidecar's connection");
  const inspect = sidecar.inspect();
  await eventually(() => mesh.controller.inspections.reaches(sidecar.workload.id), "the sidecar's connection");
  return { sidecar, stream, inspect, id: sidecar.workload.id };
}

function event(tapId: bigint, path: string, more: object = {}) {
  const value = {
    tapId,
    direction: Direction.OUTBOUND,
    peer: { name: "users.default", identity: "spiffe://weft.local/ns/default/sa/users" },
    port: 80,
    protocol: Protocol.HTTP1,
    method: "GET",
    path,
    status: 200,
    attempts: 1,
    startUs: 1_800_000_000_123_456n,
    headLatencyUs: 1500n,
    latencyUs: 2500n,
    tls: true,
    ...more,
  };
  return { request: { case: "event" as const, value } };
}

/** Reads a tap in the background. */
function reading(t: TestContext, stateDir: string, query: TapQuery = {}) {
  const leaving = new AbortController();
  const lines: TapLine[] = [];
  const read = async () => {
    for await (const line of new ApiClient(stateDir).tap(query, leaving.signal)) lines.push(line);
  };
  const ended = read().catch((error: Error) => error);
  t.after(() => leaving.abort());
  const requests = () => lines.flatMap((line) => (line.kind === "request" ? [line] : []));
  return { lines, requests, leave: () => leaving.abort(), ended };
}

test("a tap is a line for each request, until its reader leaves; then the sidecars stop", async (t) => {
  const mesh = await running(t);
  const web = await connected(t, mesh, "web");
  const tap = reading(t, mesh.stateDir);
  const { tapId, direction } = await web.stream.until(started);
  assert.equal(direction, Direction.OUTBOUND);
  web.stream.sent.push(event(tapId, "/a"));
  await eventually(() => tap.requests().length === 1);
  const [watching] = tap.lines;
  assert.deepEqual(watching, { kind: "watching", sidecars: 1, unreachable: [] });
  assert.deepEqual(tap.requests()[0], {
    kind: "request",
    route: "",
    time: "2027-01-15T08:00:00.123Z",
    side: "caller",
    workload: web.id,
    from: "web.default",
    fromIdentity: "spiffe://weft.local/ns/default/sa/web",
    to: "users.default",
    toIdentity: "spiffe://weft.local/ns/default/sa/users",
    port: 80,
    endpoint: "",
    protocol: "http1",
    method: "GET",
    authority: "",
    path: "/a",
    status: 200,
    grpcStatus: null,
    error: "",
    attempts: 1,
    headLatencyMs: 1.5,
    latencyMs: 2.5,
    requestBytes: 0,
    responseBytes: 0,
    tls: true,
  });
  tap.leave();
  await web.stream.until(stopped);
});

test("a workload that starts while a tap runs is tapped, too, and the reader hears how many are watched", async (t) => {
  const mesh = await running(t);
  const tap = reading(t, mesh.stateDir, { service: "late.default" });
  await eventually(() => tap.lines.length === 1);
  assert.deepEqual(tap.lines[0], { kind: "watching", sidecars: 0, unreachable: [] });
  const late = await connected(t, mesh, "late");
  const { tapId } = await late.stream.until(started);
  late.stream.sent.push(event(tapId, "/late"));
  await eventually(() => tap.requests().length === 1);
  await eventually(() => tap.lines.some((line) => line.kind === "watching" && line.sidecars === 1));
});

test("requests beyond the limit are counted, not shown", async (t) => {
  const mesh = await running(t);
  const web = await connected(t, mesh, "web");
  const tap = reading(t, mesh.stateDir, { maxRps: 10 });
  const { tapId, maxEventsPerSecond } = await web.stream.until(started);
  assert.equal(maxEventsPerSecond, 10);
  const begun = performance.now();
  for (let index = 0; index < 200; index++) web.stream.sent.push(event(tapId, `/${index}`));
  web.stream.sent.push({ request: { case: "dropped", value: { tapId, events: 1000n } } });
  const dropped = () => tap.lines.reduce((sum, line) => sum + (line.kind === "dropped" ? line.requests : 0), 0);
  await eventually(() => tap.requests().length + dropped() === 1200);
  const seconds = Math.ceil((performance.now() - begun) / 1000) + 1;
  assert.ok(tap.requests().length <= 10 * seconds, `${tap.requests().length} in at most ${seconds} seconds`);
});

test("a reader that does not read holds up nobody, and what it misses is counted", async (t) => {
  const mesh = await running(t);
  const web = await connected(t, mesh, "web");
  const socket = connect(statePaths(mesh.stateDir).apiSocket);
  t.after(() => socket.destroy());
  socket.write("GET /weft/v1/tap?maxRps=10000 HTTP/1.1\r\nhost: x\r\n\r\n");
  socket.pause();
  const { tapId } = await web.stream.until(started);
  const total = 8000;
  const path = `/${"x".repeat(2000)}`;
  for (let index = 0; index < total; index++) web.stream.sent.push(event(tapId, path));
  const other = reading(t, mesh.stateDir);
  const second = await web.stream.until((received) => {
    const start = started(received);
    return start !== undefined && start.tapId !== tapId ? start : undefined;
  });
  web.stream.sent.push(event(second.tapId, "/after"));
  await eventually(() => other.requests().length === 1);
  // Now it reads: what waited, and how much did not.
  let text = "";
  socket.setEncoding("utf8").on("data", (chunk) => {
    text += chunk;
  });
  socket.resume();
  const shown = () => text.split('"kind":"request"').length - 1;
  const dropped = () => [...text.matchAll(/"kind":"dropped","requests":(\d+)/g)].reduce((sum, [, count]) => sum + Number(count), 0);
  await eventually(() => shown() + dropped() === total, "the count of all");
  assert.ok(dropped() > 0);
});

test("live requests are shown on api.sock only", async (t) => {
  const { controller, stateDir } = await running(t);
  for (const call of ["tap", "why?from=a&to=b"]) {
    const response = await fetch(`${controller.pageUrl}weft/v1/${call}`);
    assert.equal(response.status, 403);
    assert.match(await response.text(), /WEFT-C-LOCAL-ONLY/);
  }
  await assert.rejects(new ApiClient(stateDir).tap({ status: "x" }).next(), { code: "WEFT-C-QUERY-INVALID" });
});

test("why has what the registry and both sides' sidecars say", async (t) => {
  const mesh = await running(t);
  const [web, users] = [await connected(t, mesh, "web"), await connected(t, mesh, "users")];
  const policy = users.sidecar.watch([8080]);
  t.after(() => policy.aborted.abort());
  const api = new ApiClient(mesh.stateDir);
  await eventually(async () => (await api.services()).some(({ name, endpoints }) => name === "users" && endpoints.length === 1));
  const answer = async (stream: typeof web.inspect, description: object) => {
    const asked = await stream.until(
      (received) => received.flatMap(({ response }) => (response.case === "describe" ? [response.value] : []))[0],
    );
    stream.sent.push({ request: { case: "description", value: { questionId: asked.questionId, version: "1", ...description } } });
    return asked.service;
  };
  const endpoint = { id: users.id, address: "127.0.0.1:30000", state: EndpointState.SILENT, latencyUs: 1500n, answeredMsAgo: 4000n };
  const [why, service] = await Promise.all([
    api.why("web.default", "users.default"),
    answer(web.inspect, { services: [{ alias: "users", name: "users.default", version: "v3", endpoints: [endpoint] }] }),
    answer(users.inspect, { ports: [{ port: 8080, servicePorts: [80], listening: true }] }),
  ]);
  assert.equal(service, "users.default");
  assert.deepEqual(why.from.workloads[0]?.description?.services[0]?.endpoints[0], {
    id: users.id,
    address: "127.0.0.1:30000",
    identity: "",
    state: "silent",
    pending: 0,
    latencyMs: 1.5,
    failures: 0,
    connections: 0,
    lastError: null,
    answeredMsAgo: 4000,
  });
  assert.deepEqual(why.to.workloads[0]?.description?.ports, [{ port: 8080, servicePorts: [80], listening: true }]);
  assert.equal(why.to.service?.endpoints.length, 1);
  assert.match(why.version ?? "", /^[\w-]{22}$/);
});

test("why says of a sidecar that is away that it is, and of a name that is none what was meant", async (t) => {
  const mesh = await running(t);
  await FakeSidecar.register(mesh.stateDir, { service: "users" });
  const why = await new ApiClient(mesh.stateDir).why("users.default", "usesr.default");
  assert.equal(why.from.workloads[0]?.silence?.code, "WEFT-C-SIDECAR-AWAY");
  assert.deepEqual([why.to.service, why.to.workloadCount, why.to.nearest], [null, 0, "users.default"]);
});

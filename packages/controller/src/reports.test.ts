import assert from "node:assert/strict";
import { test } from "node:test";
import type { ConnectError } from "@connectrpc/connect";
import { ApiClient } from "@weft/api";
import { Direction, Protocol } from "@weft/api/proto";
import { eventually, running } from "./testing/controllers.ts";
import { FakeSidecar, refuse } from "./testing/fake-sidecar.ts";
import { histogramOf } from "./testing/reports.ts";

const ports = [{ servicePort: 80, targetPort: 8080 }];

async function connected(stateDir: string, service: string) {
  const sidecar = await FakeSidecar.register(stateDir, { service, ports });
  await sidecar.certify();
  return { sidecar, telemetry: sidecar.telemetry() };
}

function counted(direction: Direction, peer: string, count: number) {
  const identity = `spiffe://weft.local/ns/default/sa/${peer}`;
  const common = { direction, peer: { name: `${peer}.default`, identity }, port: 80, protocol: Protocol.HTTP1 };
  return {
    requests: [{ ...common, statusClass: 2, requests: BigInt(count), latency: histogramOf(Array(count).fill(2000)) }],
    connections: [{ ...common, tls: true, opened: 1n, open: 1n }],
    proxy: { residentBytes: 5_000_000n, cpuUs: 1000n, certificateNotAfter: BigInt(Math.floor(Date.now() / 1000) + 3600) },
  };
}

const acknowledged = (stream: ReturnType<FakeSidecar["telemetry"]>, sequence: bigint) =>
  stream.until((received) => received.find(({ response }) => response.case === "acknowledged" && response.value === sequence));

test("reports of both ends are acknowledged and make an edge, rows and gauges; a repeated one does not count", async (t) => {
  const { stateDir } = await running(t);
  const api = new ApiClient(stateDir);
  const web = await connected(stateDir, "web");
  const users = await connected(stateDir, "users");
  t.after(() => [web, users].map(({ sidecar }) => sidecar.disconnect()));
  const report = web.sidecar.report(counted(Direction.OUTBOUND, "users", 100));
  web.telemetry.sent.push(report);
  users.telemetry.sent.push(users.sidecar.report(counted(Direction.INBOUND, "web", 100)));
  await acknowledged(web.telemetry, 1n);
  await acknowledged(users.telemetry, 1n);

  const again = web.sidecar.reconnect(stateDir);
  t.after(() => again.disconnect());
  const telemetry = again.telemetry();
  telemetry.sent.push(report);
  await acknowledged(telemetry, 1n);

  const [edge] = await api.edges();
  assert.deepEqual([edge?.from, edge?.to, edge?.secured, edge?.totals.requests], ["web.default", "users.default", true, 100]);
  assert.deepEqual(
    [edge?.fromIdentity, edge?.toIdentity],
    ["spiffe://weft.local/ns/default/sa/web", "spiffe://weft.local/ns/default/sa/users"],
  );
  const { rows } = await api.stat({ window: 10 });
  const inbound = rows.find(({ service }) => service === "users");
  assert.deepEqual([inbound?.direction, inbound?.requests, inbound?.totals.statusClasses["2"]], ["inbound", 100, 100]);
  assert.ok(Math.abs((inbound?.latencyMs.p99 ?? 0) - 2) < 0.02);
  const policy = users.sidecar.watch([8080]);
  await eventually(async () => (await api.workloads()).some(({ sidecar }) => sidecar?.stats?.residentBytes === 5_000_000));
  policy.aborted.abort();
});

test("the last report of a sidecar counts although its workload is removed", async (t) => {
  const { stateDir } = await running(t);
  const { sidecar } = await connected(stateDir, "web");
  await sidecar.api.endWorkload(sidecar.workload.id);
  const again = sidecar.reconnect(stateDir);
  t.after(() => again.disconnect());
  const telemetry = again.telemetry();
  telemetry.sent.push(again.report(counted(Direction.OUTBOUND, "users", 3)));
  await acknowledged(telemetry, 1n);
  assert.equal((await sidecar.api.stat()).rows[0]?.totals.requests, 3);
  assert.match(String(((await again.discovery().ended) as ConnectError).message), /WEFT-C-WORKLOAD-FORGOTTEN/);
});

test("checks name what is wrong and what to do, and nothing when all is well", async (t) => {
  const { stateDir } = await running(t);
  const { sidecar, telemetry } = await connected(stateDir, "users");
  t.after(() => sidecar.disconnect());
  const wrong = async () => (await sidecar.api.checks()).filter(({ status }) => status !== "ok");
  assert.deepEqual(
    (await wrong()).map(({ name, status }) => [name, status]),
    [["sidecars", "warn"]],
  );
  sidecar.watch([8080]);
  const sameVersion = ({ name }: { name: string }) => name !== "versions";
  await eventually(async () => (await wrong()).filter(sameVersion).length === 0);
  const discovery = sidecar.discovery();
  await refuse(discovery, "users", "no such port");
  const refusal = { reason: "WEFT-P-PEER-NO-CERTIFICATE", address: "127.0.0.1", count: 2n, detail: "it showed none" };
  telemetry.sent.push(sidecar.report({ refusals: [refusal], proxy: { certificateNotAfter: 1n } }));
  await acknowledged(telemetry, 1n);
  await eventually(async () => (await wrong()).filter(sameVersion).length === 3);
  const found = new Map((await wrong()).map((check) => [check.name, check]));
  assert.match(found.get("updates")?.what ?? "", /1 were refused.*"users\.default": no such port/);
  assert.match(found.get("refused connections")?.what ?? "", /^2; .*users\.default.*WEFT-P-PEER-NO-CERTIFICATE/);
  assert.match(found.get("certificates")?.what ?? "", new RegExp(sidecar.workload.id));
  assert.match(found.get("versions")?.what ?? "", /test/);
  for (const { action } of found.values()) assert.notEqual(action, "");
});

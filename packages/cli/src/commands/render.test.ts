import assert from "node:assert/strict";
import { test } from "node:test";
import type { Check, Edge, Service, Stat, StatRow, Traffic, Workload } from "@weft/api/light";
import type { Colour } from "../terminal.ts";
import { checkLines } from "./check.ts";
import { describeStop } from "./down.ts";
import { edgeLines } from "./edges.ts";
import { statLines } from "./stat.ts";
import { statusLines } from "./status.ts";

const plain = (_style: Colour, text: string) => text;

const counts = {
  requests: 600,
  failures: 3,
  statusClasses: { 1: 0, 2: 597, 3: 0, 4: 0, 5: 3, none: 0 },
  grpcStatuses: {},
  errors: {},
  requestBytes: 0,
  responseBytes: 0,
};
const connections = { opened: 4, closed: 0, failed: 0, tcp: { requestBytes: 0, responseBytes: 0 } };
const traffic: Traffic = {
  ...counts,
  successRate: 0.995,
  rps: 10,
  latencyMs: { p50: 0.84, p95: 2.5, p99: 31.2, max: 40 },
  requestSize: { p50: 0, p95: 0, p99: 0, max: 0 },
  responseSize: { p50: 200, p95: 900, p99: 4000, max: 4000 },
  connections: { ...connections, open: 4 },
  totals: { ...counts, connections },
};
const quiet: Traffic = { ...traffic, requests: 0, successRate: null, rps: 0, latencyMs: { p50: null, p95: null, p99: null, max: null } };
const row = (service: string, direction: StatRow["direction"], numbers: Traffic, namespace = "default"): StatRow => ({
  ...numbers,
  service,
  namespace,
  direction,
});

test("stat shows a line a service that is called", () => {
  const stat: Stat = {
    window: 60,
    by: "service",
    since: "",
    rows: [row("users", "inbound", traffic), row("users", "outbound", traffic), row("cache", "inbound", quiet, "team")],
  };
  assert.deepEqual(statLines(stat, false, plain), [
    "NAME        SUCCESS   RPS    P50     P95     P99  REQUESTS  CONNS",
    "users       99.50 %  10.0  840µs  2.50ms  31.2ms       600      4",
    "cache.team        -   0.0      -       -       -         0      4",
  ]);
});

test("edges show who calls whom by which identity, and who was refused why", () => {
  const identity = (name: string) => `spiffe://weft.local/ns/default/sa/${name}`;
  const edge: Edge = {
    ...traffic,
    from: "web.default",
    fromIdentity: identity("web"),
    to: "users.default",
    toIdentity: identity("users"),
    port: 80,
    protocol: "http2",
    secured: true,
    refusals: [],
  };
  const refused: Edge = {
    ...quiet,
    from: "",
    fromIdentity: "",
    to: "users.default",
    toIdentity: "",
    port: 0,
    protocol: "unknown",
    secured: false,
    refusals: [
      { reason: "WEFT-P-PEER-NO-CERTIFICATE", address: "127.0.0.1", identity: "", count: 2, detail: "the peer sent\x1b no certificate" },
    ],
  };
  assert.deepEqual(edgeLines([edge, refused], plain), [
    "FROM  TO        PROTOCOL  SECURED  SUCCESS   RPS     P99  IDENTITIES",
    `web   users:80  http2     mTLS     99.50 %  10.0  31.2ms  ${identity("web")} -> ${identity("users")}`,
    "",
    "Refused:",
    "  2 × from 127.0.0.1 to users: the peer sent\\x1b no certificate (WEFT-P-PEER-NO-CERTIFICATE)",
  ]);
});

test("status shows the controller, each workload with its way of redirection, and each service", () => {
  const workload: Workload = {
    id: "w-3f2a",
    service: "users",
    namespace: "default",
    address: "198.19.0.5",
    identity: "spiffe://weft.local/ns/default/sa/users",
    state: "live",
    registeredAt: "2026-11-21T10:00:00Z",
    command: ["node", "users.js"],
    pid: 4711,
    programPid: 4712,
    declaredPorts: [],
    ports: [{ servicePort: 80, targetPort: 8080 }],
    listening: [8080],
    redirection: "namespace",
    redirectionReason: "",
    published: [8080],
    restarts: 2,
    lastEnd: { reason: "signal 9", at: "2026-11-21T10:04:00Z" },
    sidecar: null,
  };
  const service: Service = {
    name: "users",
    namespace: "default",
    virtualAddress: "198.18.0.2",
    ports: [{ port: 80, protocol: "http1" }],
    endpoints: [],
    workloads: 1,
  };
  const controller = {
    version: "0.1.0",
    pid: 99,
    startedAt: "2026-11-21T10:00:00Z",
    now: "2026-11-21T10:05:00Z",
    stateDir: "/s",
    trustDomain: "weft.local",
    pageUrl: "http://127.0.0.1:4180/",
    services: 1,
    workloads: 1,
    trouble: null,
  };
  const now = Date.parse("2026-11-21T10:05:00Z");
  assert.deepEqual(statusLines({ controller, workloads: [workload], services: [service] }, now, plain), [
    "controller  0.1.0, process 99, up 5m",
    "page        http://127.0.0.1:4180/",
    "state       /s",
    "",
    "WORKLOAD  ID      SIDECAR           ADDRESS     REDIRECTION  PROCESS  PORTS    ON THIS HOST",
    "users     w-3f2a  live, 2 restarts  198.19.0.5  namespace       4711  80:8080  127.0.0.1:8080",
    "",
    "SERVICE  ADDRESS     PORTS     ENDPOINTS",
    "users    198.18.0.2  80/http1          0",
  ]);
  assert.equal(
    statusLines({ controller, workloads: [], services: [] }, now, plain).at(-1),
    "No workload runs. Start one: weft run NAME -- PROGRAM",
  );
  const trouble = { code: "WEFT-C-REGISTRY-UNWRITABLE", message: "disk full", since: "2026-11-21T10:02:00Z" };
  assert.deepEqual(statusLines({ controller: { ...controller, trouble }, workloads: [], services: [] }, now, plain).slice(3, 5), [
    "trouble     the registry cannot be written since 3m: disk full (WEFT-C-REGISTRY-UNWRITABLE)",
    "            `weft check` says what to do.",
  ]);
});

test("down says which workloads go on", () => {
  assert.deepEqual(describeStop(7, []), ["Ended the controller (process 7)."]);
  assert.deepEqual(describeStop(7, [{ service: "users", id: "w-1", pid: 8 }]), [
    "Ended the controller (process 7).",
    "These workloads go on with what they know, and find the next controller by themselves:",
    "  users (w-1, process 8)",
  ]);
});

test("check has a mark a line, why and what to do under what it found, and the sum", () => {
  const checks: Check[] = [
    { name: "node", status: "ok", what: "24.21.0", why: "", action: "" },
    { name: "network namespaces", status: "warn", what: "not allowed", why: "The kernel says so.", action: "Allow them." },
    { name: "weft-proxy", status: "fail", what: "not built\u001b", why: "", action: "Build it." },
  ];
  assert.deepEqual(checkLines(checks, plain), [
    "✓ node: 24.21.0",
    "! network namespaces: not allowed",
    "    The kernel says so.",
    "    Allow them.",
    "✗ weft-proxy: not built\\x1b",
    "    Build it.",
    "",
    "1 failed, 1 warning, 1 ok",
  ]);
  assert.equal(checkLines(checks.slice(0, 1), plain).at(-1), "Nothing is wrong.");
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { Direction, Protocol, ReportSchema } from "@weft/api/proto";
import fc from "fast-check";
import type { WorkloadRecord } from "../model/records.ts";
import { histogramOf, type ReportContent, reportOf } from "../testing/reports.ts";
import { shareOf } from "./counters.ts";
import { edgesOf } from "./edges.ts";
import { dealPairs, mergePairs, type Pairs } from "./pairs.ts";
import { maxSeriesOfService, maxWorkloadSeries } from "./series.ts";
import { statOf } from "./stat.ts";
import { TelemetryStore } from "./store.ts";

const now = 1_800_000_000_000;
const identity = (service: string) => `spiffe://weft.local/ns/default/sa/${service}`;

function workload(service: string, id = `w-${service}`): WorkloadRecord {
  return {
    id,
    service,
    namespace: "default",
    address: "",
    declaredPorts: [],
    publish: [],
    command: [],
    pid: 1,
    registeredAt: 0,
    launched: null,
    sidecar: null,
    listening: null,
  };
}

function report(sequence: number, content: ReportContent, endMs = now) {
  return create(ReportSchema, {
    incarnation: 7n,
    sequence: BigInt(sequence),
    startMs: BigInt(endMs - 1000),
    endMs: BigInt(endMs),
    ...reportOf(content),
  });
}

function requests(count: number, micros: number[] = [], other: object = {}) {
  return {
    direction: Direction.OUTBOUND,
    peer: { name: "users.default", identity: identity("users") },
    port: 80,
    protocol: Protocol.HTTP1,
    statusClass: 2,
    requests: BigInt(count),
    latency: histogramOf(micros),
    ...other,
  };
}

const inbound = {
  direction: Direction.INBOUND,
  peer: { name: "web.default", identity: identity("web") },
};

test("requests are counted to the last one, by status class, gRPC status and reason", () => {
  const store = new TelemetryStore();
  const series = [
    requests(70),
    requests(20, [], { statusClass: 5, error: "WEFT-P-NO-ENDPOINT" }),
    requests(7, [], { grpcStatus: 14 }),
    requests(3, [], { statusClass: 0 }),
  ];
  store.take(workload("web"), report(1, { requests: series }), now);
  const [row] = statOf(store, "service", { window: 60, nowMs: now }).rows;
  assert.equal(row?.requests, 100);
  assert.equal(row?.failures, 30);
  assert.equal(row?.successRate, 0.7);
  assert.deepEqual(row?.totals.statusClasses, {
    none: 3,
    1: 0,
    2: 77,
    3: 0,
    4: 0,
    5: 20,
  });
  assert.deepEqual(row?.totals.grpcStatuses, { 14: 7 });
  assert.deepEqual(row?.totals.errors, { "WEFT-P-NO-ENDPOINT": 20 });
});

test("sizes of bodies are summed exactly, and their quantiles are as near as those of times", () => {
  const store = new TelemetryStore();
  const sizes = { requestSizes: histogramOf([0, 0, 0, 7]), responseSizes: histogramOf([100, 20_000, 20_000, 5_000_000]) };
  store.take(workload("web"), report(1, { requests: [requests(4, [1000, 2000, 3000, 4000], sizes)] }), now);
  const [row] = statOf(store, "service", { window: 60, nowMs: now }).rows;
  assert.deepEqual([row?.requestBytes, row?.responseBytes], [7, 5_040_100]);
  assert.deepEqual(row?.requestSize, { p50: 0, p95: 7, p99: 7, max: 7 });
  assert.ok(Math.abs((row?.responseSize.p50 ?? 0) - 20_000) < 200 && Math.abs((row?.responseSize.p99 ?? 0) - 5_000_000) < 50_000);
  assert.ok(Math.abs((row?.latencyMs.p50 ?? 0) - 2) < 0.02, "measures do not mix");
});

test("a report whose series names a text that it does not have is refused whole, and may come again in order", () => {
  const store = new TelemetryStore();
  const wrong = report(1, { requests: [requests(1)] });
  (wrong.requests[0] as { route: number }).route = 9;
  assert.throws(() => store.take(workload("web"), wrong, now), { code: "WEFT-C-STREAM-VIOLATION" });
  assert.deepEqual(statOf(store, "service", { window: 60, nowMs: now }).rows, []);
  store.take(workload("web"), report(1, { requests: [requests(3)] }), now);
  assert.equal(statOf(store, "service", { window: 60, nowMs: now }).rows[0]?.requests, 3);
});

test("a report that is repeated counts once; another incarnation begins anew", () => {
  const store = new TelemetryStore();
  const total = () => statOf(store, "service", { window: 60, nowMs: now }).rows[0]?.totals.requests;
  for (const sequence of [1, 1, 2, 1, 2]) store.take(workload("web"), report(sequence, { requests: [requests(10)] }), now);
  assert.equal(total(), 20);
  store.take(workload("web"), report(1, { incarnation: 8n, requests: [requests(10)] }), now);
  store.take(workload("web"), report(2, { requests: [requests(10)] }), now);
  assert.equal(total(), 30);
});

test("the window forgets, the totals do not", () => {
  const store = new TelemetryStore();
  store.take(workload("web"), report(1, { requests: [requests(10, [1000])] }), now);
  store.take(workload("web"), report(2, { requests: [requests(1)] }, now + 100_000), now + 100_000);
  const [row] = statOf(store, "service", { window: 60, nowMs: now + 100_000 }).rows;
  assert.deepEqual([row?.requests, row?.totals.requests, row?.latencyMs.p99], [1, 11, null]);
});

test("a report of two minutes is spread evenly over them, and all of it is in the totals", () => {
  const store = new TelemetryStore();
  const micros = Array.from({ length: 1200 }, (_, index) => 1000 + index);
  const span = { startMs: BigInt(now - 120_000), endMs: BigInt(now) };
  store.take(workload("web"), report(1, { ...span, requests: [requests(1200, micros)] }), now);
  const [half] = statOf(store, "service", { window: 61, nowMs: now }).rows;
  assert.equal(half?.requests, 600);
  assert.ok(Math.abs((half?.latencyMs.p50 ?? 0) - 1.6) < 0.02);
  assert.deepEqual([statOf(store, "service", { window: 300, nowMs: now }).rows[0]?.requests, half?.totals.requests], [1200, 1200]);
});

test("what is dealt to the slots of a span is whole, even, adds up, and costs no more than what there is", () => {
  const pairs = fc
    .uniqueArray(fc.tuple(fc.nat(11_000), fc.integer({ min: 1, max: 300 })), { selector: ([place]) => place, maxLength: 20 })
    .map((list) => list.toSorted(([a], [b]) => a - b).flat());
  fc.assert(
    fc.property(pairs, fc.integer({ min: 2, max: 100 }), fc.nat(99), (list, slots, firstKept) => {
      const from = firstKept % slots;
      const [all, kept] = [dealPairs(list, slots), dealPairs(list, slots, from)];
      const whole = [...all.values()].reduce((sum: Pairs, share) => mergePairs(sum, share), []);
      assert.deepEqual(whole, list);
      assert.deepEqual(kept, new Map([...all].filter(([slot]) => slot >= from)));
      for (let i = 0; i < list.length; i += 2) {
        const shares = [...all.values()].map((share) => share.findLast((_, at) => at % 2 === 1 && share[at - 1] === list[i]) ?? 0);
        const count = list[i + 1] as number;
        for (const share of shares) assert.ok(share === 0 ? count < slots : Math.abs(share - count / slots) < 1);
      }
      const things = list.reduce((sum, each, at) => sum + (at % 2 === 1 ? each : 0), 0);
      assert.ok(all.size <= Math.min(slots, things));
    }),
  );
});

test("a report of an hour counts in a window with the share of it that falls there", () => {
  const store = new TelemetryStore();
  const span = { startMs: BigInt(now - 3_600_000), endMs: BigInt(now) };
  store.take(workload("web"), report(1, { ...span, requests: [requests(36_000)] }), now);
  const requestsIn = (window: number) => statOf(store, "service", { window, nowMs: now }).rows[0]?.requests ?? 0;
  assert.equal(requestsIn(600), 599 * 10);
  assert.ok(Math.abs(requestsIn(1800) - 18_000) <= 100);
  assert.ok(Math.abs(requestsIn(7200) - 36_000) <= 600);
  assert.equal(statOf(store, "service", { window: 60, nowMs: now }).rows[0]?.totals.requests, 36_000);
});

test("clocks that are wrong do no harm", () => {
  const store = new TelemetryStore();
  const spans = [
    { startMs: 0n, endMs: BigInt(now) },
    { startMs: BigInt(now), endMs: 0n },
    { startMs: BigInt(now), endMs: 2n ** 62n },
    { startMs: -(2n ** 62n), endMs: 2n ** 62n },
  ];
  for (const [index, span] of spans.entries()) store.take(workload("web"), report(index + 1, { ...span, requests: [requests(5)] }), now);
  assert.equal(statOf(store, "service", { window: 300, nowMs: now }).rows[0]?.totals.requests, 20);
});

test("shares of the slots are even, and add up", () => {
  fc.assert(
    fc.property(fc.nat(1000), fc.nat(1000), fc.integer({ min: 1, max: 300 }), (from, length, slots) => {
      const shares = Array.from({ length: slots }, (_, slot) => shareOf(from, from + length, slot, slots));
      assert.equal(
        shares.reduce((sum, share) => sum + share, 0),
        length,
      );
      assert.ok(Math.max(...shares) - Math.min(...shares) <= 1);
    }),
  );
});

test("percentiles are within 1 % of those of all samples, whoever reported them and when", () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.array(fc.integer({ min: 1, max: 5_000_000 }), {
          minLength: 1,
          maxLength: 50,
        }),
        { minLength: 1, maxLength: 6 },
      ),
      (parts) => {
        const store = new TelemetryStore();
        for (const [index, micros] of parts.entries()) {
          const content = { requests: [requests(micros.length, micros)] };
          store.take(workload("web", `w-${index % 3}`), report(index + 1, content, now - 500 * index), now);
        }
        const sorted = parts.flat().sort((a, b) => a - b);
        const { latencyMs } = statOf(store, "service", { window: 60, nowMs: now }).rows[0] as NonNullable<
          ReturnType<typeof statOf>["rows"][0]
        >;
        for (const [q, found] of [
          [0.5, latencyMs.p50],
          [0.95, latencyMs.p95],
          [0.99, latencyMs.p99],
          [1, latencyMs.max],
        ] as const) {
          const exact = (sorted[Math.max(1, Math.ceil(q * sorted.length)) - 1] as number) / 1000;
          assert.ok(Math.abs((found as number) - exact) <= 0.01 * exact, `p${q}: ${found} is not ${exact}`);
        }
      },
    ),
    { numRuns: 50 },
  );
});

test("an edge has the caller's numbers, and both identities once both ends have reported", () => {
  const store = new TelemetryStore();
  const connection = {
    direction: Direction.OUTBOUND,
    peer: { name: "users.default", identity: identity("users") },
    port: 80,
    protocol: Protocol.HTTP2,
    tls: true,
    opened: 2n,
    open: 2n,
  };
  store.take(workload("web"), report(1, { requests: [requests(10)], connections: [connection] }), now);
  assert.equal(edgesOf(store, { window: 60, nowMs: now }).rows[0]?.fromIdentity, "");
  store.take(workload("users"), report(1, { requests: [requests(10, [], inbound)] }), now);
  const [edge, ...rest] = edgesOf(store, { window: 60, nowMs: now }).rows;
  assert.deepEqual(rest, []);
  assert.deepEqual([edge?.from, edge?.to, edge?.port, edge?.protocol], ["web.default", "users.default", 80, "http1"]);
  assert.deepEqual([edge?.fromIdentity, edge?.toIdentity, edge?.secured], [identity("web"), identity("users"), true]);
  assert.deepEqual([edge?.requests, edge?.connections.opened, edge?.connections.open], [10, 2, 2]);
  const rows = statOf(store, "service", { window: 60, nowMs: now }).rows.map(({ service, direction, requests }) => [
    service,
    direction,
    requests,
  ]);
  assert.deepEqual(rows, [
    ["users", "inbound", 10],
    ["web", "outbound", 10],
  ]);
});

test("an edge with a connection in clear is not secured", () => {
  const store = new TelemetryStore();
  const connection = {
    direction: Direction.OUTBOUND,
    peer: { name: "db.default" },
    port: 5432,
    protocol: Protocol.TCP,
    tls: false,
    opened: 1n,
    open: 1n,
    requestBytes: 10n,
    responseBytes: 20n,
  };
  store.take(workload("web"), report(1, { connections: [connection] }), now);
  const [edge] = edgesOf(store, { window: 60, nowMs: now }).rows;
  assert.deepEqual([edge?.secured, edge?.protocol], [false, "tcp"]);
  assert.deepEqual(edge?.connections.tcp, {
    requestBytes: 10,
    responseBytes: 20,
  });
});

test("open connections are the gauges of the sidecars that there are", () => {
  const store = new TelemetryStore();
  const connection = (open: number) => ({
    ...inbound,
    port: 80,
    protocol: Protocol.HTTP1,
    tls: true,
    open: BigInt(open),
  });
  const open = () => statOf(store, "service", { window: 60, nowMs: now }).rows[0]?.connections.open;
  store.take(workload("users", "w-1"), report(1, { connections: [connection(3)] }), now);
  store.take(workload("users", "w-2"), report(1, { connections: [connection(4)] }), now);
  assert.equal(open(), 7);
  store.take(workload("users", "w-1"), report(2, { connections: [connection(1)] }), now);
  assert.equal(open(), 5);
  store.forget("w-2");
  store.take(workload("users", "w-2"), report(2, { connections: [connection(4)] }), now);
  assert.equal(open(), 1);
});

test("refusals appear as edges from nobody, with reason, origin and count", () => {
  const store = new TelemetryStore();
  const refusal = {
    reason: "WEFT-P-PEER-NO-CERTIFICATE",
    address: "127.0.0.1",
    identity: "",
    detail: "no certificate",
  };
  store.take(workload("users"), report(1, { refusals: [{ ...refusal, count: 2n }] }), now);
  store.take(workload("users"), report(2, { refusals: [{ ...refusal, count: 3n }] }), now);
  const [edge] = edgesOf(store, { window: 60, nowMs: now }).rows;
  assert.deepEqual([edge?.from, edge?.to, edge?.refusals], ["", "users.default", [{ ...refusal, count: 5 }]]);
});

test('a flood of peers ends in the peer "other", and no request is lost', () => {
  const store = new TelemetryStore();
  const peers = Array.from({ length: 2 * maxSeriesOfService + 100 }, (_, index) =>
    requests(1, [], { peer: { name: `p${index}.default` } }),
  );
  store.take(workload("web"), report(1, { requests: peers }), now);
  assert.equal(statOf(store, "service", { window: 60, nowMs: now }).rows[0]?.totals.requests, peers.length);
  assert.equal([...store.mesh.series.all()].length, 2 * maxSeriesOfService + 1);
  assert.equal(edgesOf(store, { window: 60, nowMs: now }).rows.find(({ to }) => to === "other")?.requests, 100);
});

test("memory for the slots stays below its bound: the oldest go first", () => {
  const store = new TelemetryStore({ maxBytes: 200_000 });
  const micros = Array.from({ length: 100 }, (_, index) => 100 * 1.05 ** index).map(Math.floor);
  for (let second = 0; second < 200; second++) {
    store.take(workload("web"), report(second + 1, { requests: [requests(100, micros)] }, now + 1000 * second), now + 1000 * second);
    assert.ok(store.mesh.bytes <= 200_000);
    assert.ok(store.workloads.bytes <= 200_000);
  }
  const nowMs = now + 199_000;
  // Seconds are given up before the coarser slots, which then answer.
  assert.equal(statOf(store, "service", { window: 300, nowMs }).rows[0]?.requests, 20_000);
});

test("a histogram that does not fit the scheme is left out and counted; the requests count", () => {
  const store = new TelemetryStore();
  store.take(
    workload("web"),
    report(1, {
      requests: [
        requests(5, [], {
          latency: { indexDeltas: [9_999_999], counts: [5n], sum: 1n },
        }),
      ],
    }),
    now,
  );
  assert.deepEqual([store.malformed, statOf(store, "service", { window: 60, nowMs: now }).rows[0]?.requests], [1, 5]);
});

const rowsBy = (store: TelemetryStore, by: "workload" | "route", asked: object = {}, nowMs = now) =>
  statOf(store, by, { window: 60, nowMs, ...asked }).rows;

test("workloads, routes and methods are told apart when they are asked for, and are one otherwise", () => {
  const store = new TelemetryStore();
  const by = (method: string, route: string) => requests(10, [], { ...inbound, method, route });
  for (const id of ["w-1", "w-2"]) {
    store.take(workload("users", id), report(1, { requests: [by("GET", "default"), by("POST", "default"), by("GET", "canary")] }), now);
  }
  assert.deepEqual(
    statOf(store, "service", { window: 60, nowMs: now }).rows.map((row) => [row.service, row.requests]),
    [["users", 60]],
  );
  assert.deepEqual(
    rowsBy(store, "workload").map((row) => [row.workload, row.requests]),
    [
      ["w-1", 30],
      ["w-2", 30],
    ],
  );
  assert.deepEqual(
    rowsBy(store, "route").map((row) => [row.route, row.method, row.requests]),
    [
      ["canary", "GET", 20],
      ["default", "GET", 20],
      ["default", "POST", 20],
    ],
  );
  assert.deepEqual(
    rowsBy(store, "route", { workload: "w-1" }).map(({ requests: count }) => count),
    [10, 10, 10],
  );
});

test("calls are chosen by their caller and their called, whichever side counted them", () => {
  const store = new TelemetryStore();
  const called = (from: string) => requests(5, [], { ...inbound, peer: { name: from } });
  store.take(workload("users"), report(1, { requests: [called("web.default"), called("load.default")] }), now);
  store.take(workload("web"), report(1, { requests: [requests(5), requests(7, [], { peer: { name: "db.default" } })] }), now);
  const counts = (asked: object) =>
    statOf(store, "service", { window: 60, nowMs: now, ...asked }).rows.map((row) => `${row.service} ${row.direction} ${row.requests}`);
  assert.deepEqual(counts({ from: "web.default" }), ["users inbound 5", "web outbound 12"]);
  assert.deepEqual(counts({ to: "users.default" }), ["users inbound 10", "web outbound 5"]);
  assert.deepEqual(counts({ from: "web.default", to: "db.default" }), ["web outbound 7"]);
  assert.deepEqual(counts({ service: "users.default" }), ["users inbound 10"]);
  const edges = (asked: object) => edgesOf(store, { window: 60, nowMs: now, ...asked }).rows.map(({ from, to }) => `${from} ${to}`);
  assert.deepEqual(edges({ service: "web.default" }), ["web.default db.default", "web.default users.default"]);
  assert.deepEqual(edges({ from: "load.default" }), ["load.default users.default"]);
  assert.deepEqual(edges({ workload: "w-users" }), ["load.default users.default", "web.default users.default"]);
});

test("ten minutes are kept by seconds, an hour by ten seconds, twelve hours by minutes", () => {
  const store = new TelemetryStore({ startedMs: now });
  const hour = 3600;
  const end = now + 12 * hour * 1000;
  // One request a second in the first and the last two minutes.
  const seconds = Array.from({ length: 120 }, (_, index) => index + 1);
  for (const [index, second] of [...seconds, ...seconds.map((each) => 12 * hour - 120 + each)].entries()) {
    const at = now + 1000 * second;
    store.take(workload("web"), report(index + 1, { requests: [requests(1)] }, at), at);
  }
  const requestsIn = (window: number) => statOf(store, "service", { window, nowMs: end }).rows[0]?.requests;
  assert.deepEqual([requestsIn(10), requestsIn(60), requestsIn(600), requestsIn(hour)], [9, 59, 120, 120]);
  assert.ok((requestsIn(12 * hour) ?? 0) > 120 + 55);
});

test("numbers come with the moment since when they are complete", () => {
  const since = (store: TelemetryStore, window: number, nowMs: number) => statOf(store, "service", { window, nowMs }).since;
  const young = new TelemetryStore({ startedMs: now - 30_000 });
  assert.equal(since(young, 600, now), new Date(now - 30_000).toISOString());
  assert.equal(since(young, 10, now), new Date(now - 9000).toISOString());
  // So little memory that even the coarsest slots must go.
  const small = new TelemetryStore({ maxBytes: 2000, startedMs: now });
  const micros = Array.from({ length: 40 }, (_, index) => 1000 + 100 * index);
  for (let minute = 0; minute < 20; minute++) {
    small.take(workload("web"), report(minute + 1, { requests: [requests(40, micros)] }, now + 60_000 * minute), now + 60_000 * minute);
  }
  const end = now + 19 * 60_000;
  assert.ok(Date.parse(since(small, 1200, end)) > now);
  const { rows } = statOf(small, "service", { window: 1200, nowMs: end });
  assert.ok((rows[0]?.requests ?? 0) < 800 && rows[0]?.totals.requests === 800);
});

test("workloads that come and go are forgotten in the end; what their service counted is not", () => {
  const store = new TelemetryStore();
  const total = maxWorkloadSeries + 100;
  for (let index = 0; index < total; index++) store.take(workload("web", `w-${index}`), report(1, { requests: [requests(1)] }), now);
  const rows = rowsBy(store, "workload");
  assert.equal(rows.length, maxWorkloadSeries);
  assert.ok(rows.some((row) => row.workload === `w-${total - 1}`) && !rows.some((row) => row.workload === "w-0"));
  assert.equal(statOf(store, "service", { window: 60, nowMs: now }).rows[0]?.requests, total);
});

test("what a sidecar carried for whoever dialled a published port is a call of nobody's, not of its service", () => {
  const store = new TelemetryStore();
  const anonymous = { anonymous: true };
  const connection = { ...anonymous, protocol: Protocol.HTTP1, port: 80, tls: true, opened: 1n };
  const out = { direction: Direction.OUTBOUND, peer: { name: "users.default", identity: identity("users") } };
  const into = { direction: Direction.INBOUND, peer: { name: "anonymous", identity: "" } };
  const seen = () =>
    edgesOf(store, { window: 60, nowMs: now }).rows.map(({ from, to, requests, secured }) => ({ from, to, requests, secured }));
  store.take(
    workload("users", "w-1"),
    report(1, { requests: [requests(10, [], { ...into, ...anonymous })], connections: [{ ...connection, ...into }] }),
    now,
  );
  assert.deepEqual(seen(), [{ from: "anonymous", to: "users.default", requests: 10, secured: true }]);
  store.take(
    workload("users", "w-2"),
    report(1, { requests: [requests(10, [], { ...out, ...anonymous })], connections: [{ ...connection, ...out }] }),
    now,
  );
  const [edge] = edgesOf(store, { window: 60, nowMs: now }).rows;
  assert.deepEqual(seen(), [{ from: "anonymous", to: "users.default", requests: 10, secured: true }]);
  assert.deepEqual([edge?.fromIdentity, edge?.toIdentity], ["", identity("users")]);
  const rows = statOf(store, "service", { window: 60, nowMs: now }).rows.map(({ service, direction }) => `${service} ${direction}`);
  assert.deepEqual(rows, ["anonymous outbound", "users inbound"]);
});

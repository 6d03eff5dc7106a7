import assert from "node:assert/strict";
import { test } from "node:test";
import { answered, edge, live, service, traffic } from "./example.ts";
import { graphOf, maxNodes } from "./graph.ts";

const healthOf = (event: Parameters<typeof graphOf>[0]) =>
  Object.fromEntries(graphOf(event).nodes.map(({ label, health }) => [label, health]));

test("health follows endpoints first, then the share of calls that succeeded", () => {
  const event = live({
    services: [service("gone", 0), service("quiet"), service("good"), service("shaky"), service("broken")],
    rows: [answered("good"), answered("shaky", traffic(1000, 2)), answered("broken", traffic(100, 50)), answered("gone", traffic(5))],
  });
  assert.deepEqual(healthOf(event), { gone: "down", quiet: "idle", good: "ok", shaky: "degraded", broken: "failing" });
});

test("an opaque service with connections but no requests is healthy, not idle", () => {
  const redis = answered("redis", traffic(0));
  redis.connections.open = 3;
  assert.deepEqual(healthOf(live({ services: [service("redis")], rows: [redis] })), { redis: "ok" });
});

test("edges between the same two services are one line", () => {
  const event = live({ services: [service("a"), service("b")], edges: [edge("a", "b", traffic(60)), edge("a", "b", traffic(60, 30))] });
  const [line, ...others] = graphOf(event).edges;
  assert.deepEqual(others, []);
  assert.equal(line?.rps, 2);
  assert.equal(line?.successRate, 0.75);
});

test("callers and callees outside the mesh are nodes of their own", () => {
  const event = live({
    services: [service("a")],
    edges: [
      { ...edge("a", "b"), to: "192.0.2.7:443" },
      { ...edge("a", "a"), from: "" },
    ],
  });
  assert.deepEqual(healthOf(event), { a: "idle", "192.0.2.7:443": "outside", unknown: "outside" });
});

test("a program that only calls others, by an identity it proved, is a caller of the mesh", () => {
  const event = live({ services: [service("a")], edges: [edge("load", "a")] });
  assert.deepEqual(healthOf(event), { a: "idle", load: "caller" });
});

test("a mesh of any size draws a bounded number of nodes, and no edge without both ends", () => {
  const services = Array.from({ length: maxNodes + 50 }, (_, index) => service(`s${index}`));
  const edges = services.slice(1).map(({ name }) => edge("s0", name));
  const graph = graphOf(live({ services, edges }));
  const ids = new Set(graph.nodes.map(({ id }) => id));
  assert.equal(ids.size, maxNodes);
  assert.ok(graph.edges.every(({ from, to }) => ids.has(from) && ids.has(to)));
});

test("connections that were refused are no calls", () => {
  const refusals = [{ reason: "WEFT-P-PEER-NO-CERTIFICATE", address: "127.0.0.1", count: 3 }];
  const event = live({ services: [service("a")], edges: [{ ...edge("x", "a", traffic(0)), from: "", refusals }] });
  assert.deepEqual(healthOf(event), { a: "idle" });
});

test("anonymous callers are told from what lies outside the mesh", () => {
  const { nodes } = graphOf(live({ services: [service("a")], edges: [{ ...edge("x", "a"), from: "anonymous", proven: false }] }));
  assert.equal(nodes.find(({ id }) => id === "anonymous")?.detail, "no identity");
});

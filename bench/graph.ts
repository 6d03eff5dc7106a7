// npm run bench -- --graph: what the control plane's views take to make, and to follow a change. README.md says how it is measured.
import { performance } from "node:perf_hooks";
import type { SourceEvent } from "../packages/controller/src/graph/events.ts";
import { Graph } from "../packages/controller/src/graph/graph.ts";
import { resources, serviceNameLabel } from "../packages/controller/src/graph/lists.ts";
import { canonicalName, routesKey } from "../packages/controller/src/graph/names.ts";
import { endpointsView } from "../packages/controller/src/graph/views/endpoints.ts";
import { views } from "../packages/controller/src/graph/views/index.ts";
import { routesView } from "../packages/controller/src/graph/views/routes.ts";
import { serviceView } from "../packages/controller/src/graph/views/service.ts";
import type { StoredObject } from "../packages/controller/src/store/store.ts";

const SERVICES = 1_000;
const ENDPOINTS_EACH = 10;
const ROUTE_EVERY = 5;
const PROXIES = 2_000;
const USES = 20;
const CHANGES = 1_000;

let revision = 0;

function object(name: string, body: object, labels: object = {}): StoredObject {
  revision += 1;
  const own = { uid: name, resourceVersion: String(revision), generation: 1, creationTimestamp: "2026-11-01T00:00:00Z" };
  return { apiVersion: "v1", kind: "Any", metadata: { namespace: "default", name, labels, ...own }, ...body };
}

const nameOf = (index: number) => `service-${index}`;

const service = (index: number) =>
  object(nameOf(index), {
    spec: { type: "ClusterIP", clusterIP: "10.1.0.1", ports: [{ name: "http", port: 80, protocol: "TCP", appProtocol: "http" }] },
  });

/** A slice with all endpoints of a service, of which the first is at `address`. */
function slice(index: number, address = "10.0.0.0"): StoredObject {
  const endpoints = Array.from({ length: ENDPOINTS_EACH }, (_, each) => ({
    addresses: [each === 0 ? address : `10.${index >> 8}.${index & 255}.${each}`],
    conditions: { ready: true, serving: true, terminating: false },
    targetRef: { kind: "Pod", name: `${nameOf(index)}-${each}`, uid: `${index}-${each}` },
    zone: `zone-${each % 3}`,
  }));
  const ports = [{ name: "http", port: 8080, protocol: "TCP" }];
  return object(nameOf(index), { addressType: "IPv4", endpoints, ports }, { [serviceNameLabel]: nameOf(index) });
}

/** A route that sends a part of a service's requests to the next one. */
function route(index: number, weight: number): StoredObject {
  const ref = (to: number, weight: number) => ({ group: "", kind: "Service", name: nameOf(to % SERVICES), port: 80, weight });
  const matches = [{ path: { type: "PathPrefix", value: "/" } }];
  const spec = {
    parentRefs: [{ group: "", kind: "Service", name: nameOf(index) }],
    rules: [{ matches, backendRefs: [ref(index, 95), ref(index + 1, weight)] }],
  };
  return object(nameOf(index), { spec });
}

const indexes = Array.from({ length: SERVICES }, (_, index) => index);
const slices = indexes.map((index) => slice(index));
const lists: SourceEvent[] = [
  { type: "relisted", resource: resources.services, objects: indexes.map(service) },
  { type: "relisted", resource: resources.endpointSlices, objects: slices },
  {
    type: "relisted",
    resource: resources.httpRoutes,
    objects: indexes.filter((index) => index % ROUTE_EVERY === 0).map((index) => route(index, 5)),
  },
];

/** Milliseconds that pass, and that this process spends, while something runs. */
function timed(run: () => unknown): { ms: number; cpuMs: number } {
  const [start, cpu] = [performance.now(), process.cpuUsage()];
  run();
  const { user, system } = process.cpuUsage(cpu);
  return { ms: round(performance.now() - start), cpuMs: round((user + system) / 1000) };
}

/** Times of many changes, in milliseconds, and how many views each remade. */
function changes(graph: Graph, make: (change: number) => SourceEvent): Record<string, number> {
  let remade = 0;
  const times = Array.from({ length: CHANGES }, (_, change) => {
    const event = make(change);
    const start = performance.now();
    remade += graph.apply([event]).remade.length;
    return performance.now() - start;
  }).sort((a, b) => a - b);
  const at = (part: number) => times[Math.floor(CHANGES * part)] ?? Number.NaN;
  return { "p50 ms": round(at(0.5)), "p99 ms": round(at(0.99)), "views remade each": remade / CHANGES };
}

const round = (value: number) => Number(value.toFixed(3));

const graph = new Graph(views);
const listing = timed(() => graph.apply(lists));
const first = timed(() => {
  for (let proxy = 0; proxy < PROXIES; proxy += 1) {
    for (let use = 0; use < USES; use += 1) {
      const name = canonicalName("default", nameOf((proxy * 7 + use * 53) % SERVICES));
      graph.want(serviceView, name);
      graph.want(endpointsView, name);
      graph.want(routesView, routesKey({ service: name, port: 80 }));
    }
  }
});
console.table({
  [`taking in ${SERVICES} services, ${SERVICES * ENDPOINTS_EACH} endpoints, ${SERVICES / ROUTE_EVERY} routes`]: listing,
  [`first views for ${PROXIES} proxies of ${USES} services each`]: first,
  "the same list of all slices again": timed(() => graph.apply(lists.slice(1, 2))),
});
console.log(`${graph.size} views are held.`);
console.table({
  "an endpoint's address": changes(graph, (change) => ({
    type: "put",
    resource: resources.endpointSlices,
    object: slice(change % SERVICES, `10.9.${change >> 8}.${change & 255}`),
  })),
  "a slice with the same meaning": changes(graph, (change) => ({
    type: "put",
    resource: resources.endpointSlices,
    object: slice(change % SERVICES, `10.9.${change >> 8}.${change & 255}`),
  })),
  "a route's weight": changes(graph, (change) => ({
    type: "put",
    resource: resources.httpRoutes,
    object: route((change * ROUTE_EVERY) % SERVICES, 6 + change),
  })),
});

import type { Edge, Live, Service, StatRow, Traffic } from "@weft/api";

const counts = {
  requests: 0,
  failures: 0,
  statusClasses: { "1": 0, "2": 0, "3": 0, "4": 0, "5": 0, none: 0 },
  grpcStatuses: {},
  errors: {},
  requestBytes: 0,
  responseBytes: 0,
};
const connections = { opened: 0, closed: 0, failed: 0, tcp: { requestBytes: 0, responseBytes: 0 } };

/** For tests: traffic of `requests`, of which `failures` failed. */
export function traffic(requests: number, failures = 0): Traffic {
  return {
    ...counts,
    requests,
    failures,
    successRate: requests === 0 ? null : (requests - failures) / requests,
    rps: requests / 60,
    latencyMs: requests === 0 ? { p50: null, p95: null, p99: null, max: null } : { p50: 1.2, p95: 4.5, p99: 12.25, max: 40 },
    connections: { ...connections, open: 0 },
    totals: { ...counts, connections },
  };
}

/** For tests: an edge between two services of the default namespace. */
export function edge(from: string, to: string, numbers = traffic(60)): Edge {
  const identity = (name: string) => `spiffe://weft.local/ns/default/sa/${name}`;
  const ends = { from: `${from}.default`, fromIdentity: identity(from), to: `${to}.default`, toIdentity: identity(to) };
  return { ...ends, port: 80, protocol: "http1", secured: true, refusals: [], ...numbers };
}

/** For tests: a service of the default namespace with so many endpoints. */
export function service(name: string, endpoints = 1): Service {
  const endpoint = (index: number) => ({
    id: `${name}-${index}`,
    address: "127.0.0.1",
    inboundPort: 4000 + index,
    identity: "",
    ports: [],
  });
  const instances = Array.from({ length: endpoints }, (_, index) => endpoint(index));
  return { name, namespace: "default", virtualAddress: "198.18.0.1", ports: [{ port: 80 }], endpoints: instances, workloads: endpoints };
}

/** For tests: what a service answered. */
export function answered(name: string, numbers = traffic(60)): StatRow {
  return { service: name, namespace: "default", direction: "inbound", ...numbers };
}

/** For tests: an event. */
export function live(parts: { services?: Service[]; edges?: Edge[]; rows?: StatRow[] } = {}): Live {
  const { services = [], edges = [], rows = [] } = parts;
  const pageUrl = "http://127.0.0.1:4180/";
  const times = { startedAt: "2026-01-01T00:00:00Z", now: "2026-01-01T00:01:00Z" };
  const status = { version: "0.1.0", pid: 1, ...times, stateDir: "/tmp/weft", trustDomain: "weft.local", pageUrl, trouble: null };
  return {
    status: { ...status, services: services.length, workloads: 0 },
    services,
    workloads: [],
    edges,
    stat: { window: 60, by: "service", since: "2026-01-01T00:00:00Z", rows },
  };
}

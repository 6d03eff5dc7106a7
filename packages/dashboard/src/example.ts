import type { Live, LiveEdge, LiveRow, LiveService } from "@weft/api";

type Traffic = Pick<LiveEdge, "requests" | "failures" | "rps" | "connections"> & Pick<LiveRow, "successRate" | "latencyMs">;

/** For tests: traffic of `requests`, of which `failures` failed. */
export function traffic(requests: number, failures = 0): Traffic {
  return {
    requests,
    failures,
    successRate: requests === 0 ? null : (requests - failures) / requests,
    rps: requests / 60,
    latencyMs: requests === 0 ? { p50: null, p95: null, p99: null, max: null } : { p50: 1.2, p95: 4.5, p99: 12.25, max: 40 },
    connections: { open: 0, opened: 0 },
  };
}

/** For tests: an edge between two services of the default namespace. */
export function edge(from: string, to: string, { requests, failures, rps, connections } = traffic(60)): LiveEdge {
  const ends = { from: `${from}.default`, to: `${to}.default`, port: 80 };
  return { ...ends, proven: true, clear: false, requests, failures, rps, connections, refusals: [] };
}

/** For tests: a service of the default namespace with so many endpoints. */
export function service(name: string, endpoints = 1): LiveService {
  return { name, namespace: "default", endpoints };
}

/** For tests: what a service answered. */
export function answered(name: string, { requests, successRate, rps, latencyMs, connections } = traffic(60)): LiveRow {
  const { open } = connections;
  return { service: name, namespace: "default", direction: "inbound", requests, successRate, rps, latencyMs, connections: { open } };
}

/** For tests: an event. */
export function live(parts: { services?: LiveService[]; edges?: LiveEdge[]; rows?: LiveRow[] } = {}): Live {
  const { services = [], edges = [], rows = [] } = parts;
  const times = { startedAt: "2026-01-01T00:00:00Z", now: "2026-01-01T00:01:00Z" };
  const counted = { services: services.length, workloads: 0 };
  return {
    status: { version: "0.1.0", ...times, trustDomain: "weft.local", ...counted, trouble: null },
    services,
    edges,
    stat: { window: 60, rows },
  };
}

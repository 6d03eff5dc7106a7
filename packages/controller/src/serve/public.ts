import { isIP } from "node:net";
import {
  type Edge,
  isClear,
  type Live,
  type LiveEdge,
  type LiveRow,
  type LiveService,
  type LiveStatus,
  type RefusalCount,
  type Service,
  type StatRow,
  type Status,
} from "@weft/api";

// What is shown to strangers is picked field by field, each by its shape: a field that is added elsewhere is not shown until somebody decides so here.

// A service's name, or that of a host. What else a sidecar reports is not repeated.
const namePattern = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/i;
const codePattern = /^WEFT-[A-Z]-[A-Z0-9-]{1,60}$/;
const unnamed = "other";

function nameOf(name: string): string {
  return name === "" || namePattern.test(name) || isIP(name) !== 0 ? name : unnamed;
}

/** The state of the controller, as anybody may know it. */
export function publicStatus({ version, startedAt, now, trustDomain, services, workloads, trouble }: Status): LiveStatus {
  const troubled = trouble === null ? null : { code: trouble.code, since: trouble.since };
  return { version, startedAt, now, trustDomain, services, workloads, trouble: troubled };
}

/** Everything that the page shows, as anybody may know it. */
export function publicLive(all: { status: Status; services: Service[]; edges: Edge[]; stat: { window: number; rows: StatRow[] } }): Live {
  return {
    status: publicStatus(all.status),
    services: all.services.map(publicService),
    edges: all.edges.map(publicEdge),
    stat: { window: all.stat.window, rows: all.stat.rows.map(publicRow) },
  };
}

function publicService({ name, namespace, endpoints }: Service): LiveService {
  return { name, namespace, endpoints: endpoints.length };
}

function publicEdge(edge: Edge): LiveEdge {
  const { from, to, port, fromIdentity, requests, failures, rps, connections, refusals } = edge;
  return {
    from: nameOf(from),
    to: nameOf(to),
    port,
    proven: fromIdentity !== "",
    clear: isClear(edge),
    requests,
    failures,
    rps,
    connections: { open: connections.open, opened: connections.opened },
    refusals: publicRefusals(refusals),
  };
}

// Kinds that differ only in what is not shown are one.
function publicRefusals(refusals: RefusalCount[]): LiveEdge["refusals"] {
  const shown = new Map<string, LiveEdge["refusals"][number]>();
  for (const refusal of refusals) {
    const reason = codePattern.test(refusal.reason) ? refusal.reason : unnamed;
    const address = isIP(refusal.address) === 0 ? unnamed : refusal.address;
    const key = `${reason} ${address}`;
    shown.set(key, { reason, address, count: (shown.get(key)?.count ?? 0) + refusal.count });
  }
  return [...shown.values()];
}

function publicRow({ service, namespace, direction, requests, successRate, rps, latencyMs, connections }: StatRow): LiveRow {
  const { p50, p95, p99, max } = latencyMs;
  return {
    service: nameOf(service),
    namespace: nameOf(namespace),
    direction,
    requests,
    successRate,
    rps,
    latencyMs: { p50, p95, p99, max },
    connections: { open: connections.open },
  };
}

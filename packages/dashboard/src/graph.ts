import type { Live, LiveEdge, LiveRow } from "@weft/api";
import { anonymous } from "@weft/api/stats";

/** How a node of the topology is. */
export type Health = "ok" | "degraded" | "failing" | "down" | "idle" | "caller" | "outside";

/** A box of the topology. */
export interface GraphNode {
  /** "name.namespace", an address, or "" for callers that nothing is known of. */
  id: string;
  label: string;
  health: Health;
  /** What is known of it, in a few words. */
  detail: string;
}

/** An arrow of the topology: all calls from one box to another. */
export interface GraphEdge {
  from: string;
  to: string;
  rps: number;
  /** 0 to 1; null when there was no request. */
  successRate: number | null;
  /** Connections open now. */
  open: number;
  /** Whether some of it went in clear. */
  clear: boolean;
}

/** What the topology shows. */
export interface Graph {
  nodes: GraphNode[];
  edges: GraphEdge[];
}

/** Below these success rates a service is called degraded and failing. */
export const degradedBelow = 0.999;
export const failingBelow = 0.95;

/** At most this many nodes are drawn; more would show nothing. The table has them all. */
export const maxNodes = 150;

/** A service's name without the namespace that everybody uses. */
export function shortName(id: string): string {
  return id === "" ? "unknown" : id.replace(/\.default$/, "");
}

/** The rows of calls that services answer, by "name.namespace". */
export function inboundRows(live: Live): Map<string, LiveRow> {
  return new Map(live.stat.rows.filter((row) => row.direction === "inbound").map((row) => [`${row.service}.${row.namespace}`, row]));
}

function healthOf(endpoints: number, row: LiveRow | undefined): Health {
  if (endpoints === 0) return "down";
  if (!row || (row.requests === 0 && row.connections.open === 0)) return "idle";
  if (row.successRate === null) return "ok";
  return row.successRate < failingBelow ? "failing" : row.successRate < degradedBelow ? "degraded" : "ok";
}

const plural = (count: number, what: string) => `${count} ${what}${count === 1 ? "" : "s"}`;

/** The services of the mesh, by name, each with its health. */
export function serviceNodes(live: Live): GraphNode[] {
  const rows = inboundRows(live);
  return live.services
    .map(({ name, namespace, endpoints }) => {
      const id = `${name}.${namespace}`;
      return {
        id,
        label: shortName(id),
        health: healthOf(endpoints, rows.get(id)),
        detail: endpoints === 0 ? "no endpoint" : plural(endpoints, "endpoint"),
      };
    })
    .sort((a, b) => (a.id < b.id ? -1 : 1));
}

function merge(edges: LiveEdge[]): GraphEdge[] {
  const merged = new Map<string, GraphEdge & { requests: number; failures: number }>();
  for (const edge of edges) {
    const { from, to, rps, requests, failures, connections } = edge;
    const key = JSON.stringify([from, to]);
    const sum = merged.get(key) ?? { from, to, rps: 0, requests: 0, failures: 0, open: 0, clear: false, successRate: null };
    sum.rps += rps;
    sum.requests += requests;
    sum.failures += failures;
    sum.open += connections.open;
    sum.clear ||= edge.clear;
    merged.set(key, sum);
  }
  return [...merged.values()].map(({ requests, failures, ...edge }) => ({
    ...edge,
    successRate: requests === 0 ? null : (requests - failures) / requests,
  }));
}

const caller = { health: "caller", detail: "only calls others" } as const;
const outside = { health: "outside", detail: "outside the mesh" } as const;
const unknown = { health: "outside", detail: "no identity" } as const;

/** What the topology shows of an event: every service, whoever calls one, and whatever one calls. */
export function graphOf(live: Live): Graph {
  const nodes = new Map(serviceNodes(live).map((node) => [node.id, node]));
  const callers = new Set(live.edges.filter(({ from, proven }) => from !== "" && proven).map(({ from }) => from));
  const edges = merge(live.edges.filter((edge) => edge.from !== "" || edge.refusals.length === 0));
  for (const id of edges.flatMap(({ from, to }) => [from, to])) {
    if (!nodes.has(id)) nodes.set(id, { id, label: shortName(id), ...(id === anonymous ? unknown : callers.has(id) ? caller : outside) });
  }
  const drawn = [...nodes.values()].slice(0, maxNodes);
  const ids = new Set(drawn.map(({ id }) => id));
  return { nodes: drawn, edges: edges.filter(({ from, to }) => ids.has(from) && ids.has(to) && from !== to) };
}

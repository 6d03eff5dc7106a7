import type { Protocol } from "./http.ts";

/** Longest window of `GET /stat` and `GET /edges`, seconds: twelve hours. The last ten minutes are kept by seconds, the last hour by ten seconds, the rest by minutes. */
export const maxWindow = 12 * 3600;

/** Window of `GET /stat` and `GET /edges` unless told, seconds. */
export const defaultWindow = 60;

/** What callers without an identity are called: whoever dials a published port. */
export const anonymous = "anonymous";

/** Ends of calls that are no service, and have no namespace. */
export const nobodys: readonly string[] = [anonymous, "external", "other"];

/** Requests by class of their final status; `none` ended without an answer. */
export type StatusClasses = Record<"1" | "2" | "3" | "4" | "5" | "none", number>;

/** Finished requests. */
export interface RequestCounts {
  requests: number;
  /** Failures as success.ts defines them. */
  failures: number;
  statusClasses: StatusClasses;
  /** Requests by gRPC status, for those that had one. */
  grpcStatuses: Record<string, number>;
  /** Requests that the sidecar answered itself, by the code of the reason. */
  errors: Record<string, number>;
  /** Bytes of bodies. */
  requestBytes: number;
  responseBytes: number;
}

/** Connections, and what those that carry no requests carried. */
export interface ConnectionCounts {
  opened: number;
  closed: number;
  failed: number;
  /** Bytes in connections that are passed through (`tcp`). */
  tcp: { requestBytes: number; responseBytes: number };
}

/** What half of all values do not exceed, and so on; null when there was no request. */
export interface Quantiles {
  p50: number | null;
  p95: number | null;
  p99: number | null;
  max: number | null;
}

/** Numbers within the window, and since the controller's start in `totals`. */
export interface Traffic extends RequestCounts {
  /** 0 to 1; null when there was no request. */
  successRate: number | null;
  /** Requests a second. */
  rps: number;
  /** Milliseconds. */
  latencyMs: Quantiles;
  /** Bytes of one request's body, and of one response's. */
  requestSize: Quantiles;
  responseSize: Quantiles;
  /** `open`: now. */
  connections: ConnectionCounts & { open: number };
  totals: RequestCounts & { connections: ConnectionCounts };
}

/** How rows of `GET /stat` may be grouped. */
export const groupings = ["service", "workload", "route", "edge"] as const;
/** One of `groupings`. */
export type Grouping = (typeof groupings)[number];

/** Query of `GET /stat`. */
export interface StatQuery {
  /** Seconds; 60 unless told. */
  window?: number;
  /** service unless told. */
  by?: Grouping;
  /** Only what this service's sidecars counted; with `by=edge` the edges on either end of it. "name.namespace". */
  service?: string;
  /** Only what this workload's sidecar counted. Id. */
  workload?: string;
  /** Only calls of this service. "name.namespace". */
  from?: string;
  /** Only calls to this service. "name.namespace", or an address outside the mesh. */
  to?: string;
}

/** What the sidecars of one service counted in one direction. */
export interface StatRow extends Traffic {
  /** "anonymous", without a namespace, for calls from outside the mesh that came in by published ports. */
  service: string;
  namespace: string;
  /** inbound: calls to the service; outbound: its calls to others. */
  direction: "inbound" | "outbound";
  /** Id, by workload. */
  workload?: string;
  /** By route: namespace and name of the route that decided where the requests went, "default/users", as callers' sidecars see it; "default" when none did. */
  route?: string;
  /** By route: method of the requests. */
  method?: string;
}

interface Windowed {
  /** Seconds. */
  window: number;
  /** Since when the numbers are complete, ISO 8601: the window's start, or later when the controller is younger or had to forget for want of memory. */
  since: string;
}

/** Answer of `GET /stat`, by anything but edges. */
export interface Stat extends Windowed {
  by: Exclude<Grouping, "edge">;
  rows: StatRow[];
}

/** Answer of `GET /stat?by=edge`. */
export interface EdgeStat extends Windowed {
  by: "edge";
  rows: Edge[];
}

/** Connections that a service's sidecars turned away before they carried anything. */
export interface RefusalCount {
  /** Stable code of the reason. */
  reason: string;
  /** IP address that they came from. */
  address: string;
  /** SPIFFE ID that was presented, not proven; empty when none could be read. */
  identity: string;
  /** Number since the controller's start. */
  count: number;
  /** What happened in the last one. */
  detail: string;
}

/** Calls of one service to a port of another, counted by the caller's sidecars, or by the called's when the caller has none. */
export interface Edge extends Traffic {
  /** Caller as "name.namespace"; "anonymous" for whoever dialled a published port; "" when unknown. */
  from: string;
  /** SPIFFE ID that the caller proved to the called; empty when it proved none. */
  fromIdentity: string;
  /** Called as "name.namespace", or an address outside the mesh. */
  to: string;
  /** SPIFFE ID that the called proved to the caller; empty when it proved none. */
  toIdentity: string;
  /** Port of the called service. */
  port: number;
  protocol: Protocol | "unknown";
  /** Whether every connection was mutual TLS between the two identities; of anonymous calls, from the sidecar that took them in. */
  secured: boolean;
  /** Connections turned away by the called, when nothing else is known of the caller: then `from` is "" and the counts are 0. */
  refusals: RefusalCount[];
}

/** Whether calls went in clear. Where no connection was ever opened nothing did, though nothing is secured either. */
export function isClear({ secured, totals }: Pick<Edge, "secured" | "totals">): boolean {
  return !secured && totals.connections.opened > 0;
}

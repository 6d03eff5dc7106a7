import type { Quantiles } from "./stats.ts";

/** Answer of `GET /status` to anybody who reaches the page's port. */
export interface LiveStatus {
  version: string;
  /** ISO 8601. */
  startedAt: string;
  /** The controller's clock, ISO 8601. */
  now: string;
  trustDomain: string;
  /** Number of services. */
  services: number;
  /** Number of workloads. */
  workloads: number;
  trouble: { code: string; since: string } | null;
}

/** A service as the page shows it. */
export interface LiveService {
  name: string;
  namespace: string;
  /** Number of endpoints that may be called now. */
  endpoints: number;
}

/** Calls of one service to another as the page shows them. */
export interface LiveEdge {
  /** Caller as "name.namespace"; "" when unknown. */
  from: string;
  /** Called as "name.namespace", or what is outside the mesh. */
  to: string;
  port: number;
  /** Whether the caller proved an identity. */
  proven: boolean;
  /** Whether calls went in clear. */
  clear: boolean;
  requests: number;
  failures: number;
  rps: number;
  connections: { open: number; opened: number };
  /** Connections that the called turned away, by the code of the reason. */
  refusals: LiveRefusal[];
}

/** Connections that were turned away for one reason. */
export interface LiveRefusal {
  /** Stable code. */
  reason: string;
  /** IP address that they came from. */
  address: string;
  count: number;
}

/** What a service's sidecars counted in one direction, as the page shows it. */
export interface LiveRow {
  service: string;
  namespace: string;
  direction: "inbound" | "outbound";
  requests: number;
  /** 0 to 1; null when there was no request. */
  successRate: number | null;
  rps: number;
  latencyMs: Quantiles;
  connections: { open: number };
}

/**
 * One event of `GET /live`: everything that the page shows. Whoever reaches the page's port sees it, other users of the machine included, so it is names
 * and numbers only: no command line, path or process, and no text that a program or a peer wrote.
 */
export interface Live {
  status: LiveStatus;
  services: LiveService[];
  edges: LiveEdge[];
  /** `window` in seconds. */
  stat: { window: number; rows: LiveRow[] };
}

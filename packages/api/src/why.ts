import type { Protocol, Service, Workload } from "./http.ts";
import type { Edge } from "./stats.ts";

/** How an endpoint does in the eyes of one caller's balancer. */
export type EndpointState = "new" | "answering" | "silent" | "unreachable" | "unknown";

/** Something that went wrong at a sidecar. */
export interface SidecarError {
  /** Stable code, as in docs/errors.md. */
  code: string;
  message: string;
  /** The other end as "name.namespace"; empty when it has none. */
  peer: string;
  /** Times that it happened. */
  count: number;
  /** The last time, milliseconds since 1970. */
  lastMs: number;
}

/** An endpoint as a sidecar holds it. */
export interface HeldEndpoint {
  id: string;
  /** What the sidecar dials. */
  address: string;
  /** SPIFFE ID that it must prove; empty without a sidecar. */
  identity: string;
  state: EndpointState;
  /** Calls under way. */
  pending: number;
  /** Moving peak of the latency; null when it was never called. */
  latencyMs: number | null;
  /** Moving share of failures, 0 to 1. */
  failures: number;
  /** Open connections for HTTP. */
  connections: number;
  lastError: SidecarError | null;
  /** null when it never answered. */
  answeredMsAgo: number | null;
}

/** A service as a sidecar holds it. */
export interface HeldService {
  /** What the program asked for. */
  alias: string;
  /** "name.namespace"; empty while no such service exists. */
  name: string;
  /** Of its endpoints; empty while it holds none. */
  version: string;
  virtualAddress: string;
  ports: { port: number; protocol?: Protocol }[];
  /** Ports whose protocol was found out: by who speaks first. */
  learned: { port: number; serverFirst: boolean }[];
  endpoints: HeldEndpoint[];
  /** Ports whose requests are routed. */
  routes: HeldRoutes[];
}

/** The routes of a port as a sidecar holds them. */
export interface HeldRoutes {
  port: number;
  /** Canonical name of them all together: "users.default:80". */
  name: string;
  /** Empty when it holds none that it could use, so that requests go to the service itself. */
  version: string;
  /** Namespace and name of each route that they come from: "default/users". */
  routes: string[];
}

/** What a sidecar says of itself at this moment. */
export interface SidecarDescription {
  version: string;
  /** SPIFFE ID; empty while it has no certificate. */
  identity: string;
  /** End of the certificate's validity, seconds since 1970; 0 when it has none. */
  certificateNotAfter: number;
  services: HeldService[];
  ports: { port: number; servicePorts: number[]; protocol?: Protocol; listening: boolean }[];
  /** The newest last. */
  errors: SidecarError[];
}

/** A workload, and what its sidecar says. */
export interface DescribedWorkload extends Workload {
  description: SidecarDescription | null;
  /** Why there is no description; null when there is one. */
  silence: { code: string; message: string } | null;
}

/** One end of the calls that are asked about. */
export interface WhyEnd {
  /** "name.namespace". */
  name: string;
  /** What callers see; null when nothing of this name can be called. */
  service: Service | null;
  /** At most 16 of them. */
  workloads: DescribedWorkload[];
  /** Number of them all. */
  workloadCount: number;
  /** The nearest name that exists, when this does not. */
  nearest: string | null;
}

/** Answer of `GET /why`. */
export interface Why {
  /** Milliseconds since 1970. */
  nowMs: number;
  from: WhyEnd;
  to: WhyEnd;
  /** Version of the called service's endpoints at the controller; null when it does not exist. */
  version: string | null;
  /** Calls from the one to the other in the last minute, by port. */
  edges: Edge[];
}

import { z } from "zod";
import { defaultNamespace } from "./constants.ts";
import { nameProblem, suggestName } from "./names.ts";

/** A service or namespace name: a DNS label. */
export const nameSchema = z.string().superRefine((name, context) => {
  const problem = nameProblem(name);
  if (problem === undefined) return;
  const suggestion = suggestName(name);
  const meant = suggestion === undefined ? "" : ` Did you mean ${JSON.stringify(suggestion)}?`;
  context.addIssue({
    code: "custom",
    params: { invalidName: true },
    message: `${JSON.stringify(name)} is no DNS label: ${problem}.${meant}`,
  });
});

/** A TCP port, 1 to 65535. */
export const portSchema = z.int().min(1).max(65535);

/** What is spoken on a port; left out, the sidecar detects it. */
export const protocolSchema = z.enum(["http1", "http2", "tcp"]);

/** A port that callers use, and the port that the program listens on. */
export const portMappingSchema = z.strictObject({ servicePort: portSchema, targetPort: portSchema, protocol: protocolSchema.optional() });

/** At most this many ports a workload or endpoint. */
export const maxPorts = 64;

const portsSchema = z
  .array(portMappingSchema)
  .max(maxPorts)
  .refine((ports) => new Set(ports.map((port) => port.servicePort)).size === ports.length, "a service port is named twice");

/** Body of `POST /workloads`. */
export const registerWorkloadSchema = z.strictObject({
  service: nameSchema,
  namespace: nameSchema.default(defaultNamespace),
  ports: portsSchema.default([]),
  publish: z.boolean().default(true),
  command: z.array(z.string().max(4096)).max(1024).default([]),
  pid: z.int().min(1),
});

/** Body of `PUT /workloads/ID`: a workload that runs, as it was registered before it was forgotten. */
export const registerAgainSchema = registerWorkloadSchema.extend({
  address: z.ipv4(),
  /** Service ports to open on the host's loopback too. */
  publish: z.array(portSchema).max(maxPorts).default([]),
});

/** Body of `POST /workloads/ID/launched`. */
export const launchedSchema = z.strictObject({
  redirection: z.enum(["namespace", "proxy"]),
  reason: z.string().max(2000).default(""),
  pid: z.int().min(1),
  published: z.array(portSchema).max(maxPorts).default([]),
  /** How often the sidecar was started again. */
  restarts: z.int().min(0).default(0),
  /** How and when the last sidecar that ended did so; milliseconds since 1970. */
  lastEnd: z
    .strictObject({ reason: z.string().max(300), atMs: z.int().min(0) })
    .nullable()
    .default(null),
});

/** Body of `POST /endpoints`. */
export const registerEndpointSchema = z.strictObject({
  service: nameSchema,
  namespace: nameSchema.default(defaultNamespace),
  address: z.union([z.ipv4(), z.ipv6()], "no IP address"),
  ports: portsSchema.min(1),
});

/** What is spoken on a port; without one it is detected. */
export type Protocol = z.infer<typeof protocolSchema>;
/** A port of a service, and the port of the program that serves it. */
export type PortMapping = z.infer<typeof portMappingSchema>;
/** Body of `POST /workloads` as callers write it, defaults left out. */
export type RegisterWorkload = z.input<typeof registerWorkloadSchema>;
/** Body of `PUT /workloads/ID` as callers write it, defaults left out. */
export type RegisterAgain = z.input<typeof registerAgainSchema>;
/** Body of `POST /workloads/ID/launched` as callers write it. */
export type Launched = z.input<typeof launchedSchema>;
/** Body of `POST /endpoints` as callers write it. */
export type RegisterEndpoint = z.input<typeof registerEndpointSchema>;

/** Answer of `POST /workloads` and `PUT /workloads/ID`. */
export interface RegisteredWorkload {
  id: string;
  service: string;
  namespace: string;
  /** The workload's own address, from 198.19.0.0/16. */
  address: string;
  /** The service's virtual address, from 198.18.0.0/16. */
  virtualAddress: string;
  /** SPIFFE ID. */
  identity: string;
  /** Service ports to open on the host's loopback too, where and as soon as they are free. */
  publish: number[];
  /** Other workloads of the service that are registered now. */
  siblings: number;
}

/** Answer of `GET /status`. */
export interface Status {
  version: string;
  pid: number;
  /** ISO 8601. */
  startedAt: string;
  /** The controller's clock, ISO 8601. */
  now: string;
  stateDir: string;
  trustDomain: string;
  pageUrl: string;
  /** Number of services. */
  services: number;
  /** Number of workloads. */
  workloads: number;
  /** What keeps the controller from writing its registry; null when nothing does. Running sidecars go on, and new workloads are refused. */
  trouble: { code: string; message: string; since: string } | null;
}

/** One of `GET /services`. */
export interface Service {
  name: string;
  namespace: string;
  /** From 198.18.0.0/16. */
  virtualAddress: string;
  /** Ports that callers use. */
  ports: { port: number; protocol?: Protocol }[];
  /** What calls may go to now. */
  endpoints: Endpoint[];
  /** Number of registered workloads, callable or not. */
  workloads: number;
}

/** An instance of a service that may be called now. */
export interface Endpoint {
  id: string;
  address: string;
  /** Port of its sidecar; 0 without one. */
  inboundPort: number;
  /** SPIFFE ID that it must prove; empty without a sidecar. */
  identity: string;
  ports: { servicePort: number; targetPort: number }[];
}

/** One of `GET /workloads`. */
export interface Workload {
  id: string;
  service: string;
  namespace: string;
  address: string;
  identity: string;
  /** starting: its sidecar has not connected yet; live: it is connected; away: it was, and may come back. */
  state: "starting" | "live" | "away";
  /** ISO 8601. */
  registeredAt: string;
  command: string[];
  /** The launcher's process on the host, as registered. */
  pid: number;
  /** The program's process, as the host numbers it; null before the launcher said so. */
  programPid: number | null;
  /** Ports as declared; empty when it serves whatever the program listens on. */
  declaredPorts: PortMapping[];
  /** Ports that it serves. */
  ports: PortMapping[];
  /** Ports on which the program listens; null before its sidecar said so. */
  listening: number[] | null;
  /** How calls reach the sidecar; null before the launcher said so. */
  redirection: "namespace" | "proxy" | null;
  /** Why this way. */
  redirectionReason: string;
  /** Ports that are open for it on the host's 127.0.0.1. */
  published: number[];
  /** How often its sidecar was started again. */
  restarts: number;
  /** How the last sidecar that ended did so, and when (ISO 8601); null when none did. */
  lastEnd: { reason: string; at: string } | null;
  /** The sidecar; null before it connected. */
  sidecar: Sidecar | null;
}

/** What a sidecar says of itself. */
export interface Sidecar {
  version: string;
  /** What of the contract with the controller it carries: "routes". */
  capabilities: string[];
  /** Host and port that peers dial. */
  inbound: string;
  /** Host and port of its metrics; empty when there are none. */
  admin: string;
  /** Gauges of its last report; null before the first. */
  stats: SidecarStats | null;
}

/** Gauges of a sidecar. */
export interface SidecarStats {
  residentBytes: number;
  /** User and system time since its start, microseconds. */
  cpuMicros: number;
  requestsInFlight: number;
  baseMismatches: number;
  updatesRejected: number;
  /** End of its certificate, seconds since 1970; 0 when it has none. */
  certificateNotAfter: number;
  /** Reports that the controller refused, whose counts are lost. */
  reportsLost: number;
  /** Why the program's listening ports cannot be read now; empty when they can. */
  portsUnreadable: string;
}

/** Answer of `POST /access`: what a client over HTTPS needs. */
export interface Access {
  /** `https://127.0.0.1:41234`. */
  server: string;
  /** Certificate by which the server is known, PEM. */
  certificateAuthority: string;
  /** Who has it may do all that the user may. */
  token: string;
}

/** One of `GET /checks`, and of `weft check`. */
export interface Check {
  name: string;
  /** warn: Weft works, but something is not as it should be. */
  status: "ok" | "warn" | "fail";
  /** What was found. */
  what: string;
  /** Why that is so, or what it means; empty when `what` says it all. */
  why: string;
  /** What to do; empty when there is nothing to do. */
  action: string;
}

import type { PortMapping } from "@weft/api";

/** Trust domain of every identity. */
export const trustDomain = "weft.local";

/** How long a virtual address is kept for the name of a deleted service, milliseconds: 30 days. */
export const addressRetentionMs = 30 * 24 * 3600 * 1000;

/** A name that has a virtual address, whether or not something stands behind it. */
export interface ServiceRecord {
  namespace: string;
  name: string;
  virtualAddress: string;
  /** When its last workload or endpoint went, milliseconds since 1970; null while it has one. */
  deletedAt: number | null;
}

/** A program behind a sidecar, as registered and last seen. */
export interface WorkloadRecord {
  id: string;
  service: string;
  namespace: string;
  address: string;
  declaredPorts: PortMapping[];
  /** Service ports that are wanted on the host's loopback too. */
  publish: number[];
  command: string[];
  pid: number;
  /** Milliseconds since 1970. */
  registeredAt: number;
  launched: LaunchRecord | null;
  sidecar: SidecarRecord | null;
  /** Ports on which the program listens; null when the sidecar never said. */
  listening: number[] | null;
}

/** A workload that a person removed. */
export interface TombstoneRecord {
  id: string;
  service: string;
  namespace: string;
  /** Its launcher. */
  pid: number;
  /** Milliseconds since 1970. */
  removedAt: number;
  /** When the last of its certificates will have expired, milliseconds since 1970. */
  certificatesUntil: number;
}

/** How a program runs, as its launcher said. */
export interface LaunchRecord {
  redirection: "namespace" | "proxy";
  reason: string;
  pid: number;
  published: number[];
  /** How often the sidecar was started again. */
  restarts: number;
  lastEnd: { reason: string; atMs: number } | null;
}

/** Where a sidecar was last reached. */
export interface SidecarRecord {
  version: string;
  /** What of the contract it carries; missing in what was written before it was asked. */
  capabilities?: string[];
  inboundAddress: string;
  inboundPort: number;
  adminAddress: string;
}

/** An endpoint without a sidecar. */
export interface EndpointRecord {
  id: string;
  service: string;
  namespace: string;
  address: string;
  ports: PortMapping[];
}

/** Key of a service in tables: its name as peers are named. */
export function serviceKey({ namespace, name }: { namespace: string; name: string }): string {
  return `${name}.${namespace}`;
}

/** Key of the service that a workload or endpoint belongs to. */
export function ownerKey({ namespace, service }: { namespace: string; service: string }): string {
  return `${service}.${namespace}`;
}

/** SPIFFE ID of a workload. */
export function identityOf({ namespace, service }: { namespace: string; service: string }): string {
  return `spiffe://${trustDomain}/ns/${namespace}/sa/${service}`;
}

import { isIPv6 } from "node:net";
import type { Edge, EdgeStat, Grouping, Live, Service, Stat, Status, Workload } from "@weft/api";
import { defaultWindow } from "@weft/api";
import type { Workload as Held } from "../mesh.ts";
import { effectivePorts } from "../model/ports.ts";
import { identityOf, type LaunchRecord, serviceKey, trustDomain } from "../model/records.ts";
import type { Trouble } from "../registry/registry.ts";
import type { Asked } from "../telemetry/query.ts";
import { version } from "../version.ts";
import { Catalogue } from "./catalogue.ts";
import { publicLive } from "./public.ts";
import type { ApiServices } from "./services.ts";

/** What the HTTP API answers, as it is now. */
export interface Snapshot {
  status(): Status;
  services(): Service[];
  workloads(): Workload[];
  stat(by: Grouping, asked: Omit<Asked, "nowMs">): Promise<Stat | EdgeStat>;
  /** `window` in seconds. */
  edges(window: number): Promise<Edge[]>;
  live(): Promise<Live>;
}

/** The answers of the API, each computed when it is asked for. */
export function snapshotOf({ mesh, flow, telemetry, paths, registry, startedAt }: ApiServices, pageUrl: () => string): Snapshot {
  const catalogue = new Catalogue(flow);
  const snapshot: Snapshot = {
    status: () => ({
      version,
      pid: process.pid,
      startedAt,
      now: new Date().toISOString(),
      stateDir: paths.directory,
      trustDomain,
      pageUrl: pageUrl(),
      services: catalogue.size,
      workloads: mesh.workloads().length,
      trouble: troubleOf(registry.trouble),
    }),
    services: () => catalogue.services().map((service) => ({ ...service, workloads: mesh.workloadCount(serviceKey(service)) })),
    workloads: () => mesh.workloads().map((held) => ({ ...workloadOf(held), sidecar: sidecarOf(held, telemetry.sidecar(held.record.id)) })),
    stat: (by, asked) => {
      const now = { ...asked, nowMs: Date.now() };
      return by === "edge" ? telemetry.edges(now) : telemetry.stat(by, now);
    },
    edges: async (window) => (await telemetry.edges({ window, nowMs: Date.now() })).rows,
    live: async () => {
      const asked = { window: defaultWindow, nowMs: Date.now() };
      const [edges, stat] = await Promise.all([telemetry.edges(asked), telemetry.stat("service", asked)]);
      return publicLive({ status: snapshot.status(), services: snapshot.services(), edges: edges.rows, stat });
    },
  };
  return snapshot;
}

function troubleOf(trouble: Trouble | undefined): Status["trouble"] {
  if (trouble === undefined) return null;
  return { code: "WEFT-C-REGISTRY-UNWRITABLE", message: trouble.message, since: new Date(trouble.since).toISOString() };
}

function workloadOf({ record, state }: Held): Omit<Workload, "sidecar"> {
  return {
    id: record.id,
    service: record.service,
    namespace: record.namespace,
    address: record.address,
    identity: identityOf(record),
    state,
    registeredAt: new Date(record.registeredAt).toISOString(),
    command: record.command,
    pid: record.pid,
    programPid: record.launched?.pid ?? null,
    declaredPorts: record.declaredPorts,
    ports: effectivePorts(record),
    listening: record.listening,
    redirection: record.launched?.redirection ?? null,
    redirectionReason: record.launched?.reason ?? "",
    published: record.launched?.published ?? [],
    restarts: record.launched?.restarts ?? 0,
    lastEnd: endOf(record.launched?.lastEnd ?? null),
  };
}

function endOf(end: LaunchRecord["lastEnd"]): Workload["lastEnd"] {
  return end === null ? null : { reason: end.reason, at: new Date(end.atMs).toISOString() };
}

function sidecarOf({ record: { sidecar } }: Held, stats: NonNullable<Workload["sidecar"]>["stats"]): Workload["sidecar"] {
  if (sidecar === null) return null;
  const { version, capabilities = [], inboundAddress, inboundPort, adminAddress } = sidecar;
  const host = isIPv6(inboundAddress) ? `[${inboundAddress}]` : inboundAddress;
  return { version, capabilities, inbound: `${host}:${inboundPort}`, admin: adminAddress, stats };
}

import { isIPv6 } from "node:net";
import type { Edge, EdgeStat, Grouping, Live, Service, Stat, Status, Workload } from "@weft/api";
import { defaultWindow } from "@weft/api";
import type { Workload as Held } from "../mesh.ts";
import { effectivePorts } from "../model/ports.ts";
import { identityOf, type LaunchRecord, serviceKey, trustDomain } from "../model/records.ts";
import type { Trouble } from "../registry/registry.ts";
import { edgesOf } from "../telemetry/edges.ts";
import type { Asked } from "../telemetry/query.ts";
import { statOf } from "../telemetry/stat.ts";
import { version } from "../version.ts";
import { Catalogue } from "./catalogue.ts";
import { publicLive } from "./public.ts";
import type { ApiServices } from "./services.ts";

/** What the HTTP API answers, as it is now. */
export interface Snapshot {
  status(): Status;
  services(): Service[];
  workloads(): Workload[];
  stat(by: Grouping, asked: Omit<Asked, "nowMs">): Stat | EdgeStat;
  /** `window` in seconds. */
  edges(window: number): Edge[];
  live(): Live;
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
      return by === "edge" ? edgesOf(telemetry, now) : statOf(telemetry, by, now);
    },
    edges: (window) => edgesOf(telemetry, { window, nowMs: Date.now() }).rows,
    live: () =>
      publicLive({
        status: snapshot.status(),
        services: snapshot.services(),
        edges: snapshot.edges(defaultWindow),
        stat: statOf(telemetry, "service", { window: defaultWindow, nowMs: Date.now() }),
      }),
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
  const { version, inboundAddress, inboundPort, adminAddress } = sidecar;
  const host = isIPv6(inboundAddress) ? `[${inboundAddress}]` : inboundAddress;
  return { version, inbound: `${host}:${inboundPort}`, admin: adminAddress, stats };
}

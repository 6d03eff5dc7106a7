import type { WorkloadRecord } from "../model/records.ts";
import type { ApiServices } from "../serve/services.ts";
import { version } from "../version.ts";

/** What this controller tells sidecars that not all of them may carry. */
const needed = ["routes"];

// Sidecars take a new trust bundle at once.
const trustMs = 5_000;

/** A workload as far as checks ask. Times are milliseconds since 1970. */
export interface WorkloadFacts {
  id: string;
  /** "name" of its service. */
  service: string;
  state: "starting" | "live" | "away";
  registeredAt: number;
  /** Of its sidecar; undefined before it connected. */
  version: string | undefined;
  /** What it would have to carry, and does not say that it does. */
  lacks: string[];
  /** End of its certificate; undefined before its sidecar said. */
  certificateEnds: number | undefined;
  /** By how much its clock is ahead of the controller's; undefined before its sidecar said. */
  skewMs: number | undefined;
  /** Ports that it declared and on which its program does not listen. */
  silentPorts: number[];
  /** Ports that it wanted on the host and that neither it nor another of its service has. */
  unpublished: number[];
  restarts: number;
  lastEnd: { reason: string; atMs: number } | null;
  /** Differences to a version that its sidecar did not hold. */
  baseMismatches: number;
  updatesRejected: number;
  /** Its sidecar does not have the newest trust bundle, which it should by now. */
  trustBehind: boolean;
  reportsLost: number;
  /** Why its program's listening ports cannot be read; empty when they can. */
  portsUnreadable: string;
}

/** What the controller knows of the mesh's health. Times are milliseconds since 1970. */
export interface Facts {
  now: number;
  version: string;
  /** Validity of the root certificate, and where it is kept. */
  root: { from: number; to: number; folder: string };
  /** Why the registry cannot be written, and since when; undefined when it can. */
  trouble: { message: string; since: number } | undefined;
  workloads: WorkloadFacts[];
  /** Updates that sidecars refused since the start, and the latest. */
  rejections: { count: number; last: { workload: string; name: string; reason: string } | undefined };
  /** Histograms that could not be read. */
  malformed: number;
  refusals: { service: string; address: string; reason: string; count: number; detail: string }[];
  /** Errors in the controller's log since its start. */
  errors: { count: number; last: string };
}

/** Collects what the checks are about. Tries to write to the registry. */
export async function collect(services: ApiServices): Promise<Facts> {
  const { authority, paths, registry, mesh, faults, telemetry, errors } = services;
  registry.probe();
  const { malformed, refusals } = await telemetry.trouble();
  const workloads = mesh.workloads();
  return {
    now: Date.now(),
    version,
    root: { from: authority.validity.notBefore.getTime(), to: authority.validity.notAfter.getTime(), folder: paths.ca },
    trouble: registry.trouble,
    workloads: workloads.map(({ record, state }) => ({
      ...factsOf(services, record, workloads),
      state,
      trustBehind: state === "live" && isBehind(services, record.id),
    })),
    rejections: faults.rejections,
    malformed,
    refusals: refusals.flatMap(({ service, refusals }) => refusals.map((refusal) => ({ service, ...refusal }))),
    errors: { ...errors },
  };
}

function isBehind({ mesh: { tombstones }, trusted }: ApiServices, workload: string): boolean {
  return Date.now() - tombstones.revisedAt > trustMs && trusted.revisionAt(workload) < tombstones.revision;
}

function factsOf(
  { telemetry, clocks }: ApiServices,
  record: WorkloadRecord,
  all: { record: WorkloadRecord }[],
): Omit<WorkloadFacts, "state" | "trustBehind"> {
  const stats = telemetry.sidecar(record.id);
  const { launched, listening } = record;
  const siblings = all.filter(({ record: other }) => other.service === record.service && other.namespace === record.namespace);
  const open = new Set(siblings.flatMap(({ record: other }) => other.launched?.published ?? []));
  return {
    id: record.id,
    service: record.service,
    registeredAt: record.registeredAt,
    version: record.sidecar?.version,
    lacks: record.sidecar === null ? [] : needed.filter((name) => !record.sidecar?.capabilities?.includes(name)),
    certificateEnds: stats === null || stats.certificateNotAfter === 0 ? undefined : stats.certificateNotAfter * 1000,
    skewMs: clocks.skewMs(record.id),
    silentPorts:
      listening === null
        ? []
        : [...new Set(record.declaredPorts.map(({ targetPort }) => targetPort))].filter((port) => !listening.includes(port)),
    unpublished: launched?.redirection === "namespace" ? (record.publish ?? []).filter((port) => !open.has(port)) : [],
    restarts: launched?.restarts ?? 0,
    lastEnd: launched?.lastEnd ?? null,
    baseMismatches: stats?.baseMismatches ?? 0,
    updatesRejected: stats?.updatesRejected ?? 0,
    reportsLost: stats?.reportsLost ?? 0,
    portsUnreadable: stats?.portsUnreadable ?? "",
  };
}

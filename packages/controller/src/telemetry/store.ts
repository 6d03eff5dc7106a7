import { anonymous, decodeHistogram, isFailure, type RefusalCount, type SidecarStats } from "@weft/api";
import { type ConnectionSeries, Direction, Protocol, type ProxyStats, type Report, type RequestSeries } from "@weft/api/proto";
import { ownerKey, type WorkloadRecord } from "../model/records.ts";
import { apiProtocol } from "../protocols.ts";
import { addLabel, at, type Counters, emptyCounters } from "./counters.ts";
import { Ledger } from "./ledger.ts";
import { Refusals } from "./refusals.ts";
import { LastingSeries, PassingSeries, type SeriesKey } from "./series.ts";

const maxTextLength = 300;
const maxIncarnations = 4;
const maxSidecars = 20_000;

interface Sidecar {
  /** Last sequence number taken in, by incarnation. */
  sequences: Map<bigint, bigint>;
  stats: SidecarStats | null;
  /** Open connections by series and by whether they are protected. */
  open: Map<string, { mesh: number; workload: number; open: number }>;
  departed: boolean;
}

/** What sidecars counted, in bounded memory: all workloads of a service together, and each by itself as long as it is remembered. */
export class TelemetryStore {
  /** When counting began, milliseconds since 1970. */
  readonly startedMs: number;
  readonly mesh: Ledger;
  readonly workloads: Ledger;
  readonly #sidecars = new Map<string, Sidecar>();
  readonly #refusals = new Refusals();
  #malformed = 0;

  /** `maxBytes` bounds the slots of each of the two ledgers. */
  constructor({ maxBytes, startedMs = Date.now() }: { maxBytes?: number; startedMs?: number } = {}) {
    this.startedMs = startedMs;
    this.mesh = new Ledger(new LastingSeries(), maxBytes);
    this.workloads = new Ledger(new PassingSeries(), maxBytes);
  }

  /** Histograms that did not fit the scheme, and were left out. */
  get malformed(): number {
    return this.#malformed;
  }

  /** Takes in a report, unless it was taken in before. */
  take(workload: WorkloadRecord, report: Report, nowMs = Date.now()): void {
    const sidecar = this.#sidecarOf(workload.id);
    if (!isNew(sidecar, report)) return;
    const own = ownerKey(workload);
    // What a sidecar carried for whoever dialled a published port, its program did not call.
    const callerOf = (each: RequestSeries | ConnectionSeries) =>
      each.anonymous && each.direction === Direction.OUTBOUND ? anonymous : own;
    const startMs = Number(report.startMs);
    // A clock that runs ahead does not make a future, and one that runs behind by more than a day is not believed.
    const endMs = Math.max(Math.min(Number(report.endMs), nowMs), nowMs - 24 * 3600 * 1000);
    const span = { startMs: Math.min(Math.max(startMs, endMs - 24 * 3600 * 1000), endMs), endMs, nowMs };
    const count = (key: SeriesKey, counters: Counters, latency?: Parameters<Ledger["count"]>[2]) => ({
      mesh: this.mesh.count(key, counters, latency, span),
      workload: this.workloads.count({ ...key, workload: workload.id }, counters, latency, span),
    });
    for (const each of report.requests) {
      const latency = each.latency && decodeHistogram(each.latency);
      if (each.latency !== undefined && latency === undefined) this.#malformed++;
      count(requestKey(callerOf(each), each), requestCounters(each), latency);
    }
    for (const each of report.connections) {
      const series = count(keyOf(callerOf(each), each), connectionCounters(each));
      if (!sidecar.departed) sidecar.open.set(`${series.mesh} ${each.tls}`, { ...series, open: Number(each.open) });
    }
    for (const { reason, address, identity, count, detail } of report.refusals) {
      this.#refusals.add(own, {
        reason: reason.slice(0, maxTextLength),
        address: address.slice(0, maxTextLength),
        identity: identity.slice(0, maxTextLength),
        count: Number(count),
        detail: detail.slice(0, maxTextLength),
      });
    }
    if (report.proxy !== undefined && !sidecar.departed) sidecar.stats = statsOf(report.proxy);
  }

  /** Forgets the gauges of a workload that was removed; its counts stay. */
  forget(id: string): void {
    const sidecar = this.#sidecars.get(id);
    if (sidecar !== undefined) Object.assign(sidecar, { stats: null, departed: true, open: new Map() });
  }

  /** A workload that was removed is back. */
  welcome(id: string): void {
    const sidecar = this.#sidecars.get(id);
    if (sidecar !== undefined) sidecar.departed = false;
  }

  /** Gauges of a workload's sidecar; null before its first report. */
  sidecar(id: string): SidecarStats | null {
    return this.#sidecars.get(id)?.stats ?? null;
  }

  /** Connections open now, by series of a ledger. */
  open(ledger: "mesh" | "workload"): Map<number, number> {
    const sums = new Map<number, number>();
    for (const sidecar of this.#sidecars.values()) {
      for (const each of sidecar.open.values()) sums.set(each[ledger], (sums.get(each[ledger]) ?? 0) + each.open);
    }
    return sums;
  }

  refusals(): { service: string; refusals: RefusalCount[] }[] {
    return this.#refusals.all();
  }

  #sidecarOf(id: string): Sidecar {
    const found = this.#sidecars.get(id);
    if (found !== undefined) return found;
    if (this.#sidecars.size >= maxSidecars) this.#forgetOneDeparted();
    const sidecar: Sidecar = { sequences: new Map(), stats: null, open: new Map(), departed: false };
    this.#sidecars.set(id, sidecar);
    return sidecar;
  }

  #forgetOneDeparted(): void {
    for (const [id, { departed }] of this.#sidecars) {
      if (!departed) continue;
      this.#sidecars.delete(id);
      return;
    }
  }
}

function isNew({ sequences, open }: Sidecar, { incarnation, sequence }: Report): boolean {
  const last = sequences.get(incarnation);
  if (last !== undefined && sequence <= last) return false;
  // Gauges of the incarnation before are gone with it.
  if (last === undefined) open.clear();
  sequences.set(incarnation, sequence);
  const [oldest] = sequences.keys();
  if (sequences.size > maxIncarnations && oldest !== undefined) sequences.delete(oldest);
  return true;
}

function keyOf(service: string, { direction, peer, port, protocol }: RequestSeries | ConnectionSeries): SeriesKey {
  return {
    service,
    direction: direction === Direction.INBOUND ? "inbound" : "outbound",
    peer: (peer?.name ?? "").slice(0, maxTextLength),
    identity: (peer?.identity ?? "").slice(0, maxTextLength),
    port,
    protocol: apiProtocol(protocol),
    route: "",
    method: "",
    workload: "",
  };
}

function requestKey(service: string, series: RequestSeries): SeriesKey {
  const route = series.route.slice(0, maxTextLength) || "default";
  return { ...keyOf(service, series), route, method: series.method.slice(0, maxTextLength) || "other" };
}

function requestCounters({ requests, requestBytes, responseBytes, statusClass, grpcStatus, error }: RequestSeries): Counters {
  const counters = emptyCounters();
  const count = Number(requests);
  const known = statusClass <= 5 ? statusClass : 0;
  counters.numbers[at.requests] = count;
  counters.numbers[at.statusClass + known] = count;
  if (isFailure({ statusClass: known, grpcStatus })) counters.numbers[at.failures] = count;
  counters.numbers[at.requestBytes] = Number(requestBytes);
  counters.numbers[at.responseBytes] = Number(responseBytes);
  if (grpcStatus !== undefined) addLabel(counters, `grpc ${grpcStatus}`, count);
  if (error !== "") addLabel(counters, `error ${error.slice(0, maxTextLength)}`, count);
  return counters;
}

function connectionCounters({ opened, closed, failed, protocol, tls, requestBytes, responseBytes }: ConnectionSeries): Counters {
  const counters = emptyCounters();
  counters.numbers[at.opened] = Number(opened);
  counters.numbers[at.closed] = Number(closed);
  counters.numbers[at.failed] = Number(failed);
  if (!tls) counters.numbers[at.plain] = Number(opened);
  if (protocol === Protocol.TCP) {
    counters.numbers[at.tcpRequestBytes] = Number(requestBytes);
    counters.numbers[at.tcpResponseBytes] = Number(responseBytes);
  }
  return counters;
}

function statsOf(stats: ProxyStats): SidecarStats {
  return {
    residentBytes: Number(stats.residentBytes),
    cpuMicros: Number(stats.cpuUs),
    requestsInFlight: Number(stats.requestsInFlight),
    baseMismatches: Number(stats.baseMismatches),
    updatesRejected: Number(stats.updatesRejected),
    certificateNotAfter: Number(stats.certificateNotAfter),
    reportsLost: Number(stats.reportsLost),
    portsUnreadable: stats.portsUnreadable.slice(0, maxTextLength),
  };
}

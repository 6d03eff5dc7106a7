import { anonymous, decodeHistogram, isFailure, type RefusalCount, type SidecarStats, weftError } from "@weft/api/light";
import { type ConnectionSeries, Direction, Protocol, type ProxyStats, type Report, type RequestSeries } from "@weft/api/proto";
import { ownerKey, type WorkloadRecord } from "../model/records.ts";
import { apiProtocol } from "../protocols.ts";
import { addLabel, at, type Counters, emptyCounters } from "./counters.ts";
import { Ledger } from "./ledger.ts";
import { Labels, type Measure, measures, pairsOf } from "./pairs.ts";
import { Refusals } from "./refusals.ts";
import { LastingSeries, PassingSeries, type SeriesKey } from "./series.ts";

const maxTextLength = 300;
const maxIncarnations = 4;
const maxSidecars = 20_000;

/** The workload whose sidecar reports. */
export type Reporter = Pick<WorkloadRecord, "id" | "service" | "namespace">;

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
    const labels = new Labels();
    this.mesh = new Ledger(new LastingSeries(), labels, maxBytes);
    this.workloads = new Ledger(new PassingSeries(), labels, maxBytes);
  }

  /** Histograms that did not fit the scheme, and were left out. */
  get malformed(): number {
    return this.#malformed;
  }

  /** Takes in a report, unless it was taken in before. Throws when a series names a text that the report does not have. */
  take(workload: Reporter, report: Report, nowMs = Date.now()): void {
    const textAt = textsOf(report);
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
    const count = (key: SeriesKey, counters: Counters, measured: Partial<Record<Measure, number[]>> = {}) => {
      const pairs = pairsOf(counters, measured, this.mesh.labels);
      return {
        mesh: this.mesh.count(key, counters, pairs, span),
        workload: this.workloads.count({ ...key, workload: workload.id }, counters, pairs, span),
      };
    };
    for (const each of report.requests) {
      count(requestKey(callerOf(each), each, textAt), requestCounters(each, textAt), this.#measured(each));
    }
    for (const each of report.connections) {
      const series = count(keyOf(callerOf(each), each, textAt), connectionCounters(each));
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

  #measured(series: RequestSeries): Partial<Record<Measure, number[]>> {
    const measured: Partial<Record<Measure, number[]>> = {};
    for (const measure of measures) {
      const histogram = series[measure];
      if (histogram === undefined) continue;
      const counts = decodeHistogram(histogram);
      if (counts === undefined) this.#malformed++;
      else measured[measure] = counts;
    }
    return measured;
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

type TextAt = (place: number) => string;

/** The texts of a report by their place. All that its series name are there, or it throws. */
function textsOf({ texts, requests, connections }: Report): TextAt {
  const ends = [...requests, ...connections].flatMap(({ peer, peerIdentity }) => [peer, peerIdentity]);
  const missing = [...ends, ...requests.flatMap(({ route, method, error }) => [route, method, error])].find(
    (place) => place > texts.length,
  );
  if (missing !== undefined) {
    throw weftError("WEFT-C-STREAM-VIOLATION", `A series of a report names text ${missing}, and it has ${texts.length}.`);
  }
  const shortened = ["", ...texts.map((text) => text.slice(0, maxTextLength))];
  return (place) => shortened[place] as string;
}

function keyOf(
  service: string,
  { direction, peer, peerIdentity, port, protocol }: RequestSeries | ConnectionSeries,
  textAt: TextAt,
): SeriesKey {
  return {
    service,
    direction: direction === Direction.INBOUND ? "inbound" : "outbound",
    peer: textAt(peer),
    identity: textAt(peerIdentity),
    port,
    protocol: apiProtocol(protocol),
    route: "",
    method: "",
    workload: "",
  };
}

function requestKey(service: string, series: RequestSeries, textAt: TextAt): SeriesKey {
  return { ...keyOf(service, series, textAt), route: textAt(series.route) || "default", method: textAt(series.method) || "other" };
}

function requestCounters(
  { requests, requestSizes, responseSizes, statusClass, grpcStatus, error }: RequestSeries,
  textAt: TextAt,
): Counters {
  const counters = emptyCounters();
  const count = Number(requests);
  const known = statusClass <= 5 ? statusClass : 0;
  counters.numbers[at.requests] = count;
  counters.numbers[at.statusClass + known] = count;
  if (isFailure({ statusClass: known, grpcStatus })) counters.numbers[at.failures] = count;
  counters.numbers[at.requestBytes] = Number(requestSizes?.sum ?? 0);
  counters.numbers[at.responseBytes] = Number(responseSizes?.sum ?? 0);
  if (grpcStatus !== undefined) addLabel(counters, `grpc ${grpcStatus}`, count);
  if (error !== 0) addLabel(counters, `error ${textAt(error)}`, count);
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

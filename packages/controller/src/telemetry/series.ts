import type { Protocol } from "@weft/api/light";
import { type Counters, emptyCounters } from "./counters.ts";

/**
 * At most this many series of one service, and of all. What comes on top is counted without its route and method, then under the peer "other", and then under the
 * service "other".
 */
export const maxSeriesOfService = 500;
export const maxSeries = 5_000;

/** Series of single workloads, at most: beyond it those that counted nothing for the longest time are forgotten. */
export const maxWorkloadSeries = 5_000;

/** What the numbers of a series have in common. */
export interface SeriesKey {
  /** Who counted, as "name.namespace". */
  service: string;
  direction: "inbound" | "outbound";
  /** The other end, as reported. */
  peer: string;
  /** SPIFFE ID that the other end proved. */
  identity: string;
  port: number;
  protocol: Protocol | "unknown";
  /** Route and method of requests; empty for connections. */
  route: string;
  method: string;
  /** Who counted, one by one; empty where workloads are counted together. */
  workload: string;
}

/** A series, with what it counted since the controller's start. */
export interface Series {
  index: number;
  key: SeriesKey;
  totals: Counters;
  /** First second in which it counted something. */
  since: number;
}

/** Series by key, in bounded number. */
export interface SeriesTable {
  all(): Iterable<Series>;
  /** The series of a key. `since` is the second of its first count. */
  find(key: SeriesKey, since: number): Series;
}

/** Series that are kept for good: where there are too many, several keys share one. */
export class LastingSeries implements SeriesTable {
  readonly #byKey = new Map<string, Series>();
  readonly #ofService = new Map<string, number>();

  all(): Iterable<Series> {
    return this.#byKey.values();
  }

  find(key: SeriesKey, since: number): Series {
    const found = this.#byKey.get(textOf(key));
    if (found !== undefined) return seen(found, since);
    const ofService = this.#ofService.get(key.service) ?? 0;
    if (key.service !== "other" && this.#byKey.size >= maxSeries) return this.find({ ...withoutPeer(key), service: "other" }, since);
    if (key.peer !== "other" && ofService >= 2 * maxSeriesOfService) return this.find(withoutPeer(key), since);
    if (isDetailed(key) && ofService >= maxSeriesOfService) return this.find(withoutDetail(key), since);
    const series: Series = { index: this.#byKey.size, key, totals: emptyCounters(), since };
    this.#byKey.set(textOf(key), series);
    this.#ofService.set(key.service, ofService + 1);
    return series;
  }
}

/** Series of workloads, which come and go: where there are too many, the one that was silent for longest is forgotten. */
export class PassingSeries implements SeriesTable {
  // In the order of their last use.
  readonly #byKey = new Map<string, Series>();
  readonly #max: number;
  #next = 0;

  constructor(max = maxWorkloadSeries) {
    this.#max = max;
  }

  all(): Iterable<Series> {
    return this.#byKey.values();
  }

  find(key: SeriesKey, since: number): Series {
    const text = textOf(key);
    const found = this.#byKey.get(text);
    this.#byKey.delete(text);
    const series = found === undefined ? { index: this.#next++, key, totals: emptyCounters(), since } : seen(found, since);
    this.#byKey.set(text, series);
    const [oldest] = this.#byKey.keys();
    if (this.#byKey.size > this.#max && oldest !== undefined) this.#byKey.delete(oldest);
    return series;
  }
}

function seen(series: Series, since: number): Series {
  series.since = Math.min(series.since, since);
  return series;
}

function isDetailed({ route, method }: SeriesKey): boolean {
  return method !== "" && !(route === "other" && method === "other");
}

function withoutDetail(key: SeriesKey): SeriesKey {
  return key.method === "" ? key : { ...key, route: "other", method: "other" };
}

function withoutPeer(key: SeriesKey): SeriesKey {
  return { ...withoutDetail(key), peer: "other", identity: "", port: 0, protocol: "unknown" };
}

function textOf({ service, direction, peer, identity, port, protocol, route, method, workload }: SeriesKey): string {
  return JSON.stringify([service, direction, peer, identity, port, protocol, route, method, workload]);
}

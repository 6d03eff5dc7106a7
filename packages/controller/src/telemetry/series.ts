import type { Protocol } from "@weft/api";
import { type Counters, emptyCounters } from "./counters.ts";

/** At most this many series of one service, and of all; what comes on top is counted under the peer "other", and then the service "other". */
export const maxSeriesOfService = 500;
export const maxSeries = 5_000;

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
}

/** A series, with what it counted since the controller's start. */
export interface Series {
  index: number;
  key: SeriesKey;
  totals: Counters;
  /** First second in which it counted something. */
  since: number;
}

/** Every series, in bounded number. */
export class SeriesTable {
  readonly #byKey = new Map<string, Series>();
  readonly #list: Series[] = [];
  readonly #ofService = new Map<string, number>();

  all(): readonly Series[] {
    return this.#list;
  }

  at(index: number): Series {
    return this.#list[index] as Series;
  }

  /** The series of a key; a shared one when there are too many. `since` is the second of its first count. */
  find(key: SeriesKey, since: number): Series {
    const found = this.#byKey.get(textOf(key));
    if (found !== undefined) {
      found.since = Math.min(found.since, since);
      return found;
    }
    if (key.service !== "other" && this.#list.length >= maxSeries) return this.find({ ...otherPeer(key), service: "other" }, since);
    if (key.peer !== "other" && (this.#ofService.get(key.service) ?? 0) >= maxSeriesOfService) return this.find(otherPeer(key), since);
    const series: Series = { index: this.#list.length, key, totals: emptyCounters(), since };
    this.#list.push(series);
    this.#byKey.set(textOf(key), series);
    this.#ofService.set(key.service, (this.#ofService.get(key.service) ?? 0) + 1);
    return series;
  }
}

function otherPeer(key: SeriesKey): SeriesKey {
  return { ...key, peer: "other", identity: "", port: 0, protocol: "unknown" };
}

function textOf({ service, direction, peer, identity, port, protocol }: SeriesKey): string {
  return JSON.stringify([service, direction, peer, identity, port, protocol]);
}

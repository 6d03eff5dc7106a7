import type { TapRequest } from "@weft/api/light";
import { isBad } from "../tap/lines.ts";
import { foldPath } from "./fold.ts";

/** Requests of one kind. */
export interface TopRow {
  from: string;
  to: string;
  port: number;
  method: string;
  /** Folded. */
  path: string;
  count: number;
  failures: number;
  bestMs: number;
  worstMs: number;
  lastMs: number;
}

/** The kinds of requests that come most often, in bounded memory: beyond `max` the rarest are joined in one row for all others. Counts add up exactly. */
export class Ranking {
  readonly #rows = new Map<string, TopRow>();
  readonly #max: number;
  #other: TopRow | undefined;

  constructor(max = 1000) {
    this.#max = max;
  }

  add(request: TapRequest): void {
    const { from, to, port, method, latencyMs } = request;
    const path = foldPath(request.path);
    const one = {
      from,
      to,
      port,
      method,
      path,
      count: 1,
      failures: isBad(request) ? 1 : 0,
      bestMs: latencyMs,
      worstMs: latencyMs,
      lastMs: latencyMs,
    };
    const key = JSON.stringify([from, to, port, method, path]);
    const before = this.#rows.get(key);
    if (before === undefined && this.#rows.size >= this.#max) this.#evict();
    this.#rows.set(key, before === undefined ? one : joined(before, one));
  }

  /** The rows that came most often, most first, and one for all others. */
  top(rows: number): { rows: TopRow[]; other: TopRow | undefined } {
    const sorted = [...this.#rows.values()].sort(byCount);
    return { rows: sorted.slice(0, rows), other: sorted.slice(rows).reduce(joinedOther, this.#other) };
  }

  // A quarter at once, so that a flood of kinds costs little each. Rows that came first go first among equals.
  #evict(): void {
    const rarest = [...this.#rows].sort(([, a], [, b]) => a.count - b.count).slice(0, Math.ceil(this.#max / 4));
    for (const [key, row] of rarest) {
      this.#rows.delete(key);
      this.#other = joinedOther(this.#other, row);
    }
  }
}

function byCount(a: TopRow, b: TopRow): number {
  return b.count - a.count;
}

function joined(before: TopRow, next: TopRow): TopRow {
  return {
    ...before,
    count: before.count + next.count,
    failures: before.failures + next.failures,
    bestMs: Math.min(before.bestMs, next.bestMs),
    worstMs: Math.max(before.worstMs, next.worstMs),
    lastMs: next.lastMs,
  };
}

function joinedOther(other: TopRow | undefined, row: TopRow): TopRow {
  return joined(other ?? { ...row, from: "", to: "", port: 0, method: "", path: "other", count: 0, failures: 0 }, row);
}

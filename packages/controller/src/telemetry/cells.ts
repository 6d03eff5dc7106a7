import type { Histogram } from "@weft/api";
import { addCounters, type Counters, shareOf, shareOfCounters } from "./counters.ts";

/** Seconds that are kept, one by one. */
export const keptSeconds = 300;

/** Memory that they take at most, bytes: beyond it the oldest seconds go first. */
export const maxCellBytes = 64 * 1024 * 1024;

// What a cell takes without its buckets and labels, measured and rounded up.
const cellBytes = 640;
const labelBytes = 96;

/** What one series counted in one second. Buckets are pairs of index and count, ascending. */
interface Cell {
  counters: Counters;
  buckets: Uint32Array;
}

/** What was counted in each of the last seconds, by series. */
export class Cells {
  readonly #seconds = new Map<number, { cells: Map<number, Cell>; bytes: number }>();
  readonly #maxBytes: number;
  #bytes = 0;

  constructor(maxBytes = maxCellBytes) {
    this.#maxBytes = maxBytes;
  }

  /** Memory in use, bytes, as it is accounted for. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Counts what a series counted from `startMs` to `endMs`, spread evenly over the seconds of it that are kept. */
  add(series: number, counters: Counters, latency: Histogram | undefined, span: { startMs: number; endMs: number; nowMs: number }): void {
    const now = Math.floor(span.nowMs / 1000);
    const last = Math.min(now, Math.floor((span.endMs - 1) / 1000));
    // A usual report of about a second stays whole.
    const first = span.endMs - span.startMs <= 1500 ? last : Math.min(last, Math.floor(span.startMs / 1000));
    const slots = last - first + 1;
    const sorted = latency === undefined ? [] : [...latency.counts].sort(([a], [b]) => a - b);
    for (let slot = Math.max(0, now - keptSeconds + 1 - first); slot < slots; slot++) {
      const whole = slots === 1;
      this.#merge(first + slot, series, {
        counters: whole ? counters : shareOfCounters(counters, slot, slots),
        buckets: whole ? Uint32Array.from(sorted.flat()) : shareOfBuckets(sorted, slot, slots),
      });
    }
    this.#expire(now);
  }

  /** Calls `visit` with each cell of the last `window` seconds. */
  visit(window: number, nowMs: number, visit: (series: number, counters: Counters, buckets: Uint32Array) => void): void {
    const now = Math.floor(nowMs / 1000);
    for (const [second, { cells }] of this.#seconds) {
      if (second <= now - window) continue;
      for (const [series, { counters, buckets }] of cells) visit(series, counters, buckets);
    }
  }

  #merge(second: number, series: number, cell: Cell): void {
    const held = this.#seconds.get(second) ?? { cells: new Map<number, Cell>(), bytes: 0 };
    this.#seconds.set(second, held);
    const before = held.cells.get(series);
    if (before === undefined) {
      // The counters of a whole report are still the reporter's own to change.
      const own = { numbers: cell.counters.numbers.slice(), labels: cell.counters.labels && new Map(cell.counters.labels) };
      held.cells.set(series, { counters: own, buckets: cell.buckets });
      this.#account(held, sizeOf(cell));
      return;
    }
    const size = sizeOf(before);
    addCounters(before.counters, cell.counters);
    before.buckets = mergeBuckets(before.buckets, cell.buckets);
    this.#account(held, sizeOf(before) - size);
  }

  #account(held: { bytes: number }, bytes: number): void {
    held.bytes += bytes;
    this.#bytes += bytes;
  }

  #expire(now: number): void {
    for (const second of this.#seconds.keys()) if (second <= now - keptSeconds) this.#drop(second);
    while (this.#bytes > this.#maxBytes && this.#seconds.size > 1) this.#drop(Math.min(...this.#seconds.keys()));
  }

  #drop(second: number): void {
    this.#bytes -= this.#seconds.get(second)?.bytes ?? 0;
    this.#seconds.delete(second);
  }
}

function sizeOf({ counters, buckets }: Cell): number {
  return cellBytes + buckets.byteLength + labelBytes * (counters.labels?.size ?? 0);
}

function shareOfBuckets(sorted: [number, number][], slot: number, slots: number): Uint32Array {
  const shares: number[] = [];
  let rank = 0;
  for (const [index, count] of sorted) {
    const share = shareOf(rank, rank + count, slot, slots);
    if (share > 0) shares.push(index, share);
    rank += count;
  }
  return Uint32Array.from(shares);
}

function mergeBuckets(a: Uint32Array, b: Uint32Array): Uint32Array {
  if (a.length === 0) return b;
  if (b.length === 0) return a;
  const merged = new Uint32Array(a.length + b.length);
  let [i, j, end] = [0, 0, 0];
  while (i < a.length || j < b.length) {
    const left = i < a.length ? (a[i] as number) : Number.POSITIVE_INFINITY;
    const right = j < b.length ? (b[j] as number) : Number.POSITIVE_INFINITY;
    merged[end] = Math.min(left, right);
    if (left <= right) (merged[end + 1] as number) += a[i + 1] as number;
    if (right <= left) (merged[end + 1] as number) += b[j + 1] as number;
    if (left <= right) i += 2;
    if (right <= left) j += 2;
    end += 2;
  }
  return merged.slice(0, end);
}

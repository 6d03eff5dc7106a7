import { addCounters, type Counters, shareOf, shareOfCounters } from "./counters.ts";

/** How finely a span of the past is kept. */
export interface Resolution {
  /** Length of one slot, seconds. */
  slot: number;
  /** How far back slots are kept, seconds. */
  kept: number;
  /** Memory that they take at most, bytes: beyond it the oldest slots go first. */
  maxBytes: number;
}

// What a cell takes without its buckets and labels, measured and rounded up.
const cellBytes = 640;
const labelBytes = 96;

/** What one series counted in one slot. Buckets are pairs of index and count, ascending. */
interface Cell {
  counters: Counters;
  buckets: Uint32Array;
}

/** The time in which something was counted, and the moment when it is taken in. Milliseconds. */
export interface Span {
  startMs: number;
  endMs: number;
  nowMs: number;
}

/** What was counted in each slot of the recent past, by series. Slots are numbered from 1970 on. */
export class Cells {
  readonly resolution: Resolution;
  readonly #slots = new Map<number, { cells: Map<number, Cell>; bytes: number }>();
  #bytes = 0;
  #evicted = Number.NEGATIVE_INFINITY;

  constructor(resolution: Resolution) {
    this.resolution = resolution;
  }

  /** Memory in use, bytes, as it is accounted for. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Counts what a series counted, spread evenly over the slots of the span that are kept. `sorted` are the latency's buckets, ascending. */
  add(series: number, counters: Counters, sorted: readonly [number, number][], { startMs, endMs, nowMs }: Span): void {
    const now = this.#slotOf(nowMs);
    const last = Math.min(now, this.#slotOf(endMs - 1));
    // A usual report of about a second stays whole.
    const first = endMs - startMs <= 1500 ? last : Math.min(last, this.#slotOf(startMs));
    const slots = last - first + 1;
    const kept = this.resolution.kept / this.resolution.slot;
    for (let slot = Math.max(0, now - kept + 1 - first); slot < slots; slot++) {
      const whole = slots === 1;
      this.#merge(first + slot, series, {
        counters: whole ? counters : shareOfCounters(counters, slot, slots),
        buckets: whole ? Uint32Array.from(sorted.flat()) : shareOfBuckets(sorted, slot, slots),
      });
    }
    this.#expire(now - kept);
  }

  /** The second in which the slots of a window begin, as far as they are kept. `window` in seconds. */
  begin(window: number, nowMs: number): number {
    const { slot } = this.resolution;
    return (Math.max(Math.floor((Math.floor(nowMs / 1000) - window) / slot), this.#evicted) + 1) * slot;
  }

  /** Whether every slot of a window is kept: it is short enough, and none was given up for want of memory. */
  covers(window: number, nowMs: number): boolean {
    const { slot, kept } = this.resolution;
    return window <= kept && Math.floor((Math.floor(nowMs / 1000) - window) / slot) >= this.#evicted;
  }

  /** Calls `visit` with each cell of the last `window` seconds. */
  visit(window: number, nowMs: number, visit: (series: number, counters: Counters, buckets: Uint32Array) => void): void {
    const begin = this.begin(window, nowMs) / this.resolution.slot;
    for (const [slot, { cells }] of this.#slots) {
      if (slot < begin) continue;
      for (const [series, { counters, buckets }] of cells) visit(series, counters, buckets);
    }
  }

  #slotOf(ms: number): number {
    return Math.floor(ms / 1000 / this.resolution.slot);
  }

  #merge(slot: number, series: number, cell: Cell): void {
    if (slot <= this.#evicted) return;
    const held = this.#slots.get(slot) ?? { cells: new Map<number, Cell>(), bytes: 0 };
    this.#slots.set(slot, held);
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

  #expire(before: number): void {
    for (const slot of this.#slots.keys()) if (slot <= before) this.#drop(slot);
    while (this.#bytes > this.resolution.maxBytes && this.#slots.size > 1) {
      const oldest = Math.min(...this.#slots.keys());
      this.#drop(oldest);
      this.#evicted = Math.max(this.#evicted, oldest);
    }
  }

  #drop(slot: number): void {
    this.#bytes -= this.#slots.get(slot)?.bytes ?? 0;
    this.#slots.delete(slot);
  }
}

function sizeOf({ counters, buckets }: Cell): number {
  return cellBytes + buckets.byteLength + labelBytes * (counters.labels?.size ?? 0);
}

function shareOfBuckets(sorted: readonly [number, number][], slot: number, slots: number): Uint32Array {
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

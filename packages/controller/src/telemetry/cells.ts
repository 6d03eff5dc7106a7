import { pack, visitPacked } from "./packed.ts";
import { dealPairs, mergePairs, type Pairs } from "./pairs.ts";

/** How finely a span of the past is kept. */
export interface Resolution {
  /** Length of one slot, seconds. */
  slot: number;
  /** How far back slots are kept, seconds. */
  kept: number;
  /** Memory that they take at most, bytes: beyond it the oldest slots go first. */
  maxBytes: number;
}

// What a cell takes besides its numbers, and each of those, measured and rounded up.
const cellBytes = 96;
const numberBytes = 8;
const packedBytes = 300;

// Slots that are so far behind are packed: hardly anything is counted in them any more.
const openSlots = 2;

/** What was counted in a slot, by series; packed when it is over. */
interface Slot {
  cells: Map<number, Pairs> | Uint8Array;
  bytes: number;
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
  readonly #slots = new Map<number, Slot>();
  readonly #open = new Set<number>();
  /** The slot that was the newest when the older ones were last packed and let go. */
  #tidied = Number.NEGATIVE_INFINITY;
  #bytes = 0;
  #evicted = Number.NEGATIVE_INFINITY;

  constructor(resolution: Resolution) {
    this.resolution = resolution;
  }

  /** Memory in use, bytes, as it is accounted for. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Counts what a series counted, spread evenly over the slots of the span that are kept. */
  add(series: number, pairs: Pairs, { startMs, endMs, nowMs }: Span): void {
    const now = this.#slotOf(nowMs);
    const last = Math.min(now, this.#slotOf(endMs - 1));
    // A usual report of about a second stays whole.
    const first = endMs - startMs <= 1500 ? last : Math.min(last, this.#slotOf(startMs));
    const slots = last - first + 1;
    const kept = this.resolution.kept / this.resolution.slot;
    const firstKept = Math.max(0, now - kept + 1 - first);
    if (slots > 1) for (const [slot, share] of dealPairs(pairs, slots, firstKept)) this.#merge(first + slot, series, share);
    else if (firstKept === 0) this.#merge(first, series, pairs);
    if (now > this.#tidied) {
      this.#tidied = now;
      this.#pack(now - openSlots);
      this.#expire(now - kept);
    }
    this.#evict();
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
  visit(window: number, nowMs: number, visit: (series: number, pairs: Pairs) => void): void {
    const begin = this.begin(window, nowMs) / this.resolution.slot;
    for (const [slot, { cells }] of this.#slots) {
      if (slot < begin) continue;
      if (cells instanceof Uint8Array) visitPacked(cells, visit);
      else for (const [series, pairs] of cells) visit(series, pairs);
    }
  }

  #slotOf(ms: number): number {
    return Math.floor(ms / 1000 / this.resolution.slot);
  }

  #merge(slot: number, series: number, pairs: Pairs): void {
    if (slot <= this.#evicted) return;
    const cells = this.#openCells(slot);
    const before = cells.get(series);
    const after = before === undefined ? pairs : mergePairs(before, pairs);
    cells.set(series, after);
    this.#account(slot, sizeOf(after) - (before === undefined ? 0 : sizeOf(before)));
  }

  #openCells(slot: number): Map<number, Pairs> {
    const held = this.#slots.get(slot)?.cells;
    if (held instanceof Map) return held;
    const cells = new Map<number, Pairs>();
    if (held !== undefined) visitPacked(held, (series, pairs) => cells.set(series, pairs));
    this.#replace(
      slot,
      cells,
      [...cells.values()].reduce((sum, pairs) => sum + sizeOf(pairs), 0),
    );
    this.#open.add(slot);
    return cells;
  }

  // Once a slot, so that a report of a long time opens the slots of the past only once for all that is in it.
  #pack(before: number): void {
    for (const slot of this.#open) {
      const held = this.#slots.get(slot)?.cells;
      if (slot > before || !(held instanceof Map)) continue;
      const packed = pack(held);
      this.#replace(slot, packed, packed.length + packedBytes);
      this.#open.delete(slot);
    }
  }

  #replace(slot: number, cells: Slot["cells"], bytes: number): void {
    this.#bytes += bytes - (this.#slots.get(slot)?.bytes ?? 0);
    this.#slots.set(slot, { cells, bytes });
  }

  #account(slot: number, bytes: number): void {
    const held = this.#slots.get(slot);
    if (held === undefined) return;
    held.bytes += bytes;
    this.#bytes += bytes;
  }

  #expire(before: number): void {
    for (const slot of this.#slots.keys()) if (slot <= before) this.#drop(slot);
  }

  #evict(): void {
    while (this.#bytes > this.resolution.maxBytes && this.#slots.size > 1) {
      const oldest = Math.min(...this.#slots.keys());
      this.#drop(oldest);
      this.#evicted = Math.max(this.#evicted, oldest);
    }
  }

  #drop(slot: number): void {
    this.#bytes -= this.#slots.get(slot)?.bytes ?? 0;
    this.#slots.delete(slot);
    this.#open.delete(slot);
  }
}

function sizeOf(pairs: Pairs): number {
  return cellBytes + numberBytes * pairs.length;
}

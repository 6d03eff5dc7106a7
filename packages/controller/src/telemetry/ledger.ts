import { maxWindow } from "@weft/api/light";
import { Cells, type Resolution, type Span } from "./cells.ts";
import { addCounters, type Counters } from "./counters.ts";
import type { Labels, Pairs } from "./pairs.ts";
import type { SeriesKey, SeriesTable } from "./series.ts";

/** Memory that the slots of one ledger take at most, bytes, unless told. */
export const maxLedgerBytes = 64 * 1024 * 1024;

/** What is kept: each second for ten minutes, ten seconds for an hour, minutes for twelve hours. */
export function resolutions(maxBytes: number): Resolution[] {
  return [
    { slot: 1, kept: 600, maxBytes: maxBytes / 2 },
    { slot: 10, kept: 3600, maxBytes: maxBytes / 4 },
    { slot: 60, kept: maxWindow, maxBytes: maxBytes / 4 },
  ];
}

/** Counts by series: in sum since the controller's start, and in slots of time that are coarser the older they are. Memory is bounded. */
export class Ledger {
  readonly series: SeriesTable;
  readonly labels: Labels;
  readonly #cells: Cells[];

  constructor(series: SeriesTable, labels: Labels, maxBytes = maxLedgerBytes) {
    this.series = series;
    this.labels = labels;
    this.#cells = resolutions(maxBytes).map((resolution) => new Cells(resolution));
  }

  /** Memory of the slots, bytes, as it is accounted for. */
  get bytes(): number {
    return this.#cells.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Counts in a series; answers its index. `pairs` has what `counters` has, and more. */
  count(key: SeriesKey, counters: Counters, pairs: Pairs, span: Span): number {
    const series = this.series.find(key, Math.floor(span.startMs / 1000));
    addCounters(series.totals, counters);
    for (const cells of this.#cells) cells.add(series.index, pairs, span);
    return series.index;
  }

  /** The finest slots that hold all of a window; the coarsest when none do. */
  cellsFor(window: number, nowMs: number): Cells {
    return this.#cells.find((cells) => cells.covers(window, nowMs)) ?? (this.#cells.at(-1) as Cells);
  }
}

import {
  type ConnectionCounts,
  emptyHistogram,
  type Histogram,
  type Quantiles,
  quantile,
  type RequestCounts,
  type Traffic,
} from "@weft/api/light";
import { addCounters, at, type Counters, emptyCounters } from "./counters.ts";
import type { Ledger } from "./ledger.ts";
import { addPairs, type Measure } from "./pairs.ts";
import type { Series, SeriesKey } from "./series.ts";

/** Sum over some series. */
export interface Sum {
  series: Series[];
  window: Counters;
  measured: Record<Measure, Histogram>;
  totals: Counters;
  open: number;
  /** First second in which anything was counted. */
  since: number;
}

/** A window of time, and the second in which what is kept of it begins. */
export interface Window {
  /** Seconds. */
  window: number;
  nowMs: number;
  begin: number;
}

/** Sums the series that `groupOf` gives the same name, over a window and since the start; those without a name are left out. */
export function sumSeries(
  ledger: Ledger,
  open: Map<number, number>,
  { window, nowMs }: Pick<Window, "window" | "nowMs">,
  groupOf: (key: SeriesKey) => string | undefined,
): { sums: Map<string, Sum>; window: Window } {
  const sums = new Map<string, Sum>();
  const bySeries = new Map<number, Sum>();
  for (const series of ledger.series.all()) {
    const group = groupOf(series.key);
    if (group === undefined) continue;
    const sum = sums.get(group) ?? emptySum();
    sums.set(group, sum);
    bySeries.set(series.index, sum);
    sum.series.push(series);
    addCounters(sum.totals, series.totals);
    sum.open += open.get(series.index) ?? 0;
    sum.since = Math.min(sum.since, series.since);
  }
  const cells = ledger.cellsFor(window, nowMs);
  cells.visit(window, nowMs, (index, pairs) => {
    const sum = bySeries.get(index);
    if (sum !== undefined) addPairs(sum, pairs, ledger.labels);
  });
  return { sums, window: { window, nowMs, begin: cells.begin(window, nowMs) } };
}

/** A sum as the HTTP API tells it. */
export function trafficOf(sum: Sum, { nowMs, begin }: Window): Traffic {
  const counts = requestCounts(sum.window);
  // A series that is younger than the window has its rate over its own age.
  const seconds = Math.max(1, Math.floor(nowMs / 1000) - Math.max(begin, sum.since) + 1);
  return {
    ...counts,
    successRate: counts.requests === 0 ? null : 1 - counts.failures / counts.requests,
    rps: counts.requests / seconds,
    latencyMs: quantilesOf(sum.measured.latency, 1000),
    requestSize: quantilesOf(sum.measured.requestSizes),
    responseSize: quantilesOf(sum.measured.responseSizes),
    connections: { ...connectionCounts(sum.window), open: sum.open },
    totals: { ...requestCounts(sum.totals), connections: connectionCounts(sum.totals) },
  };
}

/** The sum of nothing. */
export function emptySum(): Sum {
  const since = Number.POSITIVE_INFINITY;
  const measured = { latency: emptyHistogram(), requestSizes: emptyHistogram(), responseSizes: emptyHistogram() };
  return { series: [], window: emptyCounters(), measured, totals: emptyCounters(), open: 0, since };
}

/** Quantiles of what was measured, in units of `unit`. */
function quantilesOf(histogram: Histogram, unit = 1): Quantiles {
  const at = (q: number) => {
    const value = quantile(histogram, q);
    return value === undefined ? null : value / unit;
  };
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99), max: at(1) };
}

function requestCounts({ numbers, labels }: Counters): RequestCounts {
  const number = (place: number) => numbers[place] as number;
  const classes = ["none", "1", "2", "3", "4", "5"].map((name, index) => [name, number(at.statusClass + index)]);
  const labelled = (kind: string) =>
    Object.fromEntries(
      [...(labels ?? [])].filter(([label]) => label.startsWith(kind)).map(([label, count]) => [label.slice(kind.length), count]),
    );
  return {
    requests: number(at.requests),
    failures: number(at.failures),
    statusClasses: Object.fromEntries(classes) as RequestCounts["statusClasses"],
    grpcStatuses: labelled("grpc "),
    errors: labelled("error "),
    requestBytes: number(at.requestBytes),
    responseBytes: number(at.responseBytes),
  };
}

function connectionCounts({ numbers }: Counters): ConnectionCounts {
  const number = (place: number) => numbers[place] as number;
  return {
    opened: number(at.opened),
    closed: number(at.closed),
    failed: number(at.failed),
    tcp: { requestBytes: number(at.tcpRequestBytes), responseBytes: number(at.tcpResponseBytes) },
  };
}

import { type ConnectionCounts, emptyHistogram, type Histogram, quantile, type RequestCounts, type Traffic } from "@weft/api";
import { addCounters, at, type Counters, emptyCounters } from "./counters.ts";
import type { Series, SeriesKey } from "./series.ts";
import type { TelemetryStore } from "./store.ts";

/** Sum over some series. */
export interface Sum {
  series: Series[];
  window: Counters;
  latency: Histogram;
  totals: Counters;
  open: number;
  /** First second in which anything was counted. */
  since: number;
}

/** Sums the series that `groupOf` gives the same name, over a window and since the start; those without a name are left out. */
export function sumSeries(
  store: TelemetryStore,
  window: number,
  nowMs: number,
  groupOf: (key: SeriesKey) => string | undefined,
): Map<string, Sum> {
  const sums = new Map<string, Sum>();
  const bySeries = new Map<number, Sum>();
  const open = store.open();
  for (const series of store.series.all()) {
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
  store.cells.visit(window, nowMs, (index, counters, buckets) => {
    const sum = bySeries.get(index);
    if (sum === undefined) return;
    addCounters(sum.window, counters);
    const { counts } = sum.latency;
    for (let i = 0; i < buckets.length; i += 2) {
      const bucket = buckets[i] as number;
      counts.set(bucket, (counts.get(bucket) ?? 0) + (buckets[i + 1] as number));
    }
  });
  return sums;
}

/** A sum as the HTTP API tells it. */
export function trafficOf(sum: Sum, window: number, nowMs: number): Traffic {
  const counts = requestCounts(sum.window);
  // A series that is younger than the window has its rate over its own age.
  const seconds = Math.max(1, Math.min(window, Math.floor(nowMs / 1000) - sum.since + 1));
  const milliseconds = (q: number) => {
    const micros = quantile(sum.latency, q);
    return micros === undefined ? null : micros / 1000;
  };
  return {
    ...counts,
    successRate: counts.requests === 0 ? null : 1 - counts.failures / counts.requests,
    rps: counts.requests / seconds,
    latencyMs: { p50: milliseconds(0.5), p95: milliseconds(0.95), p99: milliseconds(0.99), max: milliseconds(1) },
    connections: { ...connectionCounts(sum.window), open: sum.open },
    totals: { ...requestCounts(sum.totals), connections: connectionCounts(sum.totals) },
  };
}

/** The sum of nothing. */
export function emptySum(): Sum {
  const since = Number.POSITIVE_INFINITY;
  return { series: [], window: emptyCounters(), latency: emptyHistogram(), totals: emptyCounters(), open: 0, since };
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

import type { Stat, StatRow } from "@weft/api";
import type { TelemetryStore } from "./store.ts";
import { sumSeries, trafficOf } from "./sums.ts";

/** What the sidecars of each service counted, by direction. `window` in seconds. */
export function statOf(store: TelemetryStore, window: number, nowMs = Date.now()): Stat {
  const sums = sumSeries(store, window, nowMs, ({ service, direction }) => `${service} ${direction}`);
  const rows = [...sums].map(([group, sum]): StatRow => {
    const [key = "", direction] = group.split(" ");
    const [service = "", namespace = ""] = key.split(".");
    return { service, namespace, direction: direction as StatRow["direction"], ...trafficOf(sum, window, nowMs) };
  });
  return { window, rows: rows.sort((a, b) => (sortKey(a) < sortKey(b) ? -1 : 1)) };
}

function sortKey({ namespace, service, direction }: StatRow): string {
  return `${namespace} ${service} ${direction}`;
}

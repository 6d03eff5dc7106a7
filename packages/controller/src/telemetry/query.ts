import type { StatQuery } from "@weft/api/light";
import type { Ledger } from "./ledger.ts";
import type { SeriesKey } from "./series.ts";
import type { TelemetryStore } from "./store.ts";
import { type Sum, sumSeries, type Window } from "./sums.ts";

/** Which calls are looked at: services as "name.namespace", a workload by its id, the window in seconds. */
export type Asked = Omit<StatQuery, "window" | "by"> & { window: number; nowMs: number };

/** Sums of the series that are asked for, by the names that `groupOf` gives them; `perWorkload` where workloads are told apart. */
export function sumAsked(
  store: TelemetryStore,
  asked: Asked,
  groupOf: (key: SeriesKey) => string | undefined,
  perWorkload = false,
): { sums: Map<string, Sum>; window: Window } {
  const [ledger, open]: [Ledger, Map<number, number>] =
    perWorkload || asked.workload !== undefined ? [store.workloads, store.open("workload")] : [store.mesh, store.open("mesh")];
  return sumSeries(ledger, open, asked, (key) => (isAsked(key, asked) ? groupOf(key) : undefined));
}

/** Since when the numbers of a window are complete, milliseconds since 1970. */
export function completeSince(store: TelemetryStore, { begin }: Window): number {
  return Math.max(begin * 1000, store.startedMs);
}

function isAsked({ service, direction, peer, workload }: SeriesKey, asked: Asked): boolean {
  const [from, to] = direction === "outbound" ? [service, peer] : [peer, service];
  return (
    (asked.service === undefined || asked.service === service) &&
    (asked.workload === undefined || asked.workload === workload) &&
    (asked.from === undefined || asked.from === from) &&
    (asked.to === undefined || asked.to === to)
  );
}

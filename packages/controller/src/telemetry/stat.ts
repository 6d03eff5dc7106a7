import type { Stat, StatRow } from "@weft/api/light";
import { type Asked, completeSince, sumAsked } from "./query.ts";
import type { SeriesKey } from "./series.ts";
import type { TelemetryStore } from "./store.ts";
import { trafficOf } from "./sums.ts";

/** What rows may be made of. */
export type By = Exclude<Stat["by"], "edge">;

/** What a row of each grouping has in common. */
const groups: Record<By, (key: SeriesKey) => Partial<Pick<StatRow, "workload" | "route" | "method">> | undefined> = {
  service: () => ({}),
  workload: ({ workload }) => ({ workload }),
  // Connections have no route.
  route: ({ route, method }) => (method === "" ? undefined : { route, method }),
};

/** What was counted, by direction and by service, workload or route. */
export function statOf(store: TelemetryStore, by: By, asked: Asked): Stat {
  const groupOf = (key: SeriesKey) => {
    const group = groups[by](key);
    const [service = "", namespace = ""] = key.service.split(".");
    return group && JSON.stringify({ service, namespace, direction: key.direction, ...group });
  };
  const { sums, window } = sumAsked(store, asked, groupOf, by === "workload");
  const rows = [...sums].map(([group, sum]): StatRow => ({ ...(JSON.parse(group) as StatRow), ...trafficOf(sum, window) }));
  const since = new Date(completeSince(store, window)).toISOString();
  return { window: asked.window, by, since, rows: rows.sort((a, b) => (sortKey(a) < sortKey(b) ? -1 : 1)) };
}

function sortKey({ namespace, service, workload, route, method, direction }: StatRow): string {
  return [namespace, service, workload, route, method, direction].join(" ");
}

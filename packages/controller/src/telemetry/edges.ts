import { anonymous, type Edge, type EdgeStat } from "@weft/api/light";
import { at } from "./counters.ts";
import { type Asked, completeSince, sumAsked } from "./query.ts";
import type { SeriesKey } from "./series.ts";
import type { TelemetryStore } from "./store.ts";
import { emptySum, type Sum, trafficOf } from "./sums.ts";

/**
 * Who calls whom. An edge is what the caller's sidecars counted; the called's confirm the caller's proven identity, and stand in for callers that report nothing.
 * Refused connections, of whose caller nothing is proven, are edges from "".
 */
export function edgesOf(store: TelemetryStore, asked: Asked): EdgeStat {
  const sumOf = (direction: SeriesKey["direction"]) => {
    const edgeOf = (key: SeriesKey) => (key.direction === direction ? edgeName(key) : undefined);
    // Either end of an edge may be the service that is asked for.
    const { service, ...rest } = asked;
    return sumAsked(store, rest, (key) => (service === undefined || [key.service, key.peer].includes(service) ? edgeOf(key) : undefined));
  };
  const { sums: outbound, window } = sumOf("outbound");
  const { sums: inbound } = sumOf("inbound");
  const edges = [...new Set([...outbound.keys(), ...inbound.keys()])].map((name): Edge => {
    const [caller, called] = [outbound.get(name), inbound.get(name)];
    const [from, to, port] = JSON.parse(name) as [string, string, number];
    const sum = caller ?? called ?? emptySum();
    const fromIdentity = identityIn(called);
    const toIdentity = caller === undefined ? "" : identityIn(caller);
    const plain = (sum.totals.numbers[at.plain] as number) > 0;
    return {
      from,
      fromIdentity,
      to,
      toIdentity,
      port,
      protocol: protocolOf(sum),
      secured: !plain && (caller === undefined ? fromIdentity !== "" || from === anonymous : toIdentity !== ""),
      ...trafficOf(sum, window),
      refusals: [],
    };
  });
  const isWanted = (service: string) => asked.from === undefined && [undefined, service].includes(asked.to ?? asked.service);
  const refused = store.refusals().flatMap(({ service, refusals }): Edge[] =>
    asked.workload !== undefined || !isWanted(service)
      ? []
      : [
          {
            from: "",
            fromIdentity: "",
            to: service,
            toIdentity: "",
            port: 0,
            protocol: "unknown",
            secured: false,
            ...trafficOf(emptySum(), window),
            refusals,
          },
        ],
  );
  const since = new Date(completeSince(store, window)).toISOString();
  const sorted = [...edges, ...refused].sort((a, b) => (sortKey(a) < sortKey(b) ? -1 : 1));
  return { window: asked.window, by: "edge", since, rows: sorted };
}

function edgeName({ service, direction, peer, port }: SeriesKey): string {
  return JSON.stringify(direction === "outbound" ? [service, peer, port] : [peer, service, port]);
}

function identityIn(sum: Sum | undefined): string {
  return sum?.series.find(({ key }) => key.identity !== "")?.key.identity ?? "";
}

// A port speaks one protocol, but its connections may be counted before their protocol is known.
function protocolOf({ series }: Sum): Edge["protocol"] {
  const weight = (numbers: Float64Array) => (numbers[at.requests] as number) * 1e6 + (numbers[at.opened] as number);
  const byWeight = series.toSorted((a, b) => weight(b.totals.numbers) - weight(a.totals.numbers));
  return byWeight.find(({ key }) => key.protocol !== "unknown")?.key.protocol ?? "unknown";
}

function sortKey({ from, to, port }: Edge): string {
  return `${to} ${from} ${port}`;
}

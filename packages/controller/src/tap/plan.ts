import { anonymous, parseFieldMatch, parseStatusRange, type TapQuery, weftError } from "@weft/api";
import { Direction } from "@weft/api/proto";
import type { TapFilter } from "./taps.ts";

/** A workload, as far as planning needs it. */
export interface Member {
  id: string;
  /** "name.namespace". */
  service: string;
  /** Whether its sidecar can be asked now. */
  reachable: boolean;
}

/** One tap at some of the sidecars. */
export interface Leg {
  filter: TapFilter;
  wants(member: Pick<Member, "id" | "service">): boolean;
}

/**
 * Which sidecars are tapped for a query, and for what, so that a request is seen once: a service or workload by its own sidecars, in both directions; everything by the
 * callers' sidecars, and by the called's where a caller's cannot be asked.
 */
export function planTap(query: TapQuery, members: Member[]): Leg[] {
  const { service, workload, from, to } = query;
  const filter = filterOf(query);
  if (service === undefined && workload === undefined) {
    const callers = members.filter((member) => from === undefined || member.service === from);
    const silent = [...new Set(callers.filter(({ reachable }) => !reachable).map((member) => member.service))];
    const ofCallers: Leg = {
      filter: { ...filter, direction: Direction.OUTBOUND, peers: to === undefined ? [] : [to] },
      wants: (member) => from === undefined || member.service === from,
    };
    // A caller of whom nothing is known has no sidecar to ask at all.
    if (from !== undefined && callers.length === 0) silent.push(from);
    if (silent.length === 0) return [ofCallers];
    const ofCalled: Leg = {
      filter: { ...filter, direction: Direction.INBOUND, peers: silent },
      wants: (member) => to === undefined || member.service === to,
    };
    return [ofCallers, ofCalled];
  }
  const own = workload === undefined ? service : members.find(({ id }) => id === workload)?.service;
  const wants: Leg["wants"] = (member) => (workload === undefined ? member.service === service : member.id === workload);
  const outbound = (): Leg => ({ filter: { ...filter, direction: Direction.OUTBOUND, peers: to === undefined ? [] : [to] }, wants });
  const inbound = (): Leg => ({ filter: { ...filter, direction: Direction.INBOUND, peers: from === undefined ? [] : [from] }, wants });
  if (from === undefined && to === undefined) return [{ filter, wants }];
  if (from === undefined || (from === own && to !== undefined)) return [outbound()];
  if (to === undefined || to === own) return [inbound()];
  throw weftError("WEFT-C-QUERY-INVALID", `Calls from ${from} to ${to} pass no sidecar of ${workload ?? service}.`, {
    hint: "Leave out the target, or name one of the two.",
  });
}

/** Whether a caller's sidecar shows the request too, that a called's sidecar saw. */
export function isShownByCaller(legs: Leg[], { from, to }: { from: string; to: string }, members: Member[]): boolean {
  // Anonymous callers come in by the sidecars of the service that they call.
  const caller = from === anonymous ? to : from;
  const callers = members.filter(({ service }) => service === caller);
  const seesCalls = ({ filter, wants }: Leg) => filter.direction !== Direction.INBOUND && callers.every((member) => wants(member));
  return callers.length > 0 && callers.every(({ reachable }) => reachable) && legs.some(seesCalls);
}

function filterOf({ method, path, status, header = [], maxRps, fields, secrets }: TapQuery): TapFilter {
  const range = status === undefined ? { min: 0, max: 0 } : parseStatusRange(status);
  if (range === undefined) throw invalid("status", status, "is none of 500, 5xx and 200-299");
  return {
    method: method?.toUpperCase() ?? "",
    pathPrefix: path ?? "",
    minStatus: range.min,
    maxStatus: range.max,
    fields: header.map((text) => {
      const match = parseFieldMatch(text);
      if (match === undefined) throw invalid("header", text, "is no NAME or NAME=VALUE");
      return match;
    }),
    maxEventsPerSecond: maxRps ?? 0,
    withFields: fields ?? false,
    withSecrets: secrets ?? false,
  };
}

function invalid(name: string, given: string | undefined, problem: string): Error {
  return weftError("WEFT-C-QUERY-INVALID", `${name}=${JSON.stringify((given ?? "").slice(0, 40))} ${problem}.`);
}

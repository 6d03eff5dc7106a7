import type { EndpointSlice, GrpcRoute, HttpRoute, Kind, Mesh, Service, Workload } from "@weft/api/kinds";
import type { ApiObject } from "@weft/client";
import { age, nothing } from "../numbers.ts";
import type { Colour, Column } from "../terminal.ts";
import { type Standing, standingOf } from "./conditions.ts";

/** A column that may be for `-o wide` only. */
type ObjectColumn = Column<ApiObject> & { isWide?: boolean };

/** Columns of a kind's table. `now`: milliseconds since 1970. */
export function columnsOf(
  kind: Kind,
  { isWide, hasNamespace, now }: { isWide: boolean; hasNamespace: boolean; now: number },
): Column<ApiObject>[] {
  return [
    ...(hasNamespace ? [{ heading: "NAMESPACE", cell: ({ metadata }: ApiObject) => metadata.namespace ?? nothing }] : []),
    { heading: "NAME", cell: ({ metadata }) => metadata.name },
    ...(columns[kind.kind] ?? []).filter((column) => isWide || !column.isWide),
    { heading: "AGE", cell: ({ metadata }) => age(Date.parse(metadata.creationTimestamp), now), align: "right" },
  ];
}

/** A column whose cell knows the kind's type. */
function column<Object>(heading: string, cell: (object: Object) => string | undefined, isWide = false): ObjectColumn {
  return { heading, cell: (object) => cell(object as unknown as Object) || nothing, isWide };
}

function list(items: readonly unknown[] = [], most = 3): string {
  const shown = items.slice(0, most).join(",");
  return items.length > most ? `${shown} +${items.length - most}` : shown;
}

type Route = HttpRoute | GrpcRoute;

const standingColours = { "in force": "green", pending: "yellow", refused: "red" } as const;

/** How an object stands, in a few words: `in force on 2 of 3 proxies`, `BackendNotFound`. */
export function standingWords(standing: Standing | undefined): string {
  if (standing === undefined) return nothing;
  const { state, reason, message } = standing;
  return state === "refused" ? reason : reason === "" ? state : (message.split(/[:;]/)[0] ?? state);
}

/** Colour of how an object stands. */
export const standingColour = (standing: Standing | undefined): Colour | undefined => standing && standingColours[standing.state];

const routeColumns: ObjectColumn[] = [
  column<Route>("PARENTS", ({ spec }) => list(spec?.parentRefs?.map(({ name, port }) => (port === undefined ? name : `${name}:${port}`)))),
  column<Route>("BACKENDS", (route) => list(backendsOf(route))),
  column<Route>("HOSTNAMES", ({ spec }) => list(spec?.hostnames), true),
  column<Route>("RULES", ({ spec }) => String(spec?.rules?.length ?? 0), true),
  { heading: "STATE", cell: (route) => standingWords(standingOf(route)), colour: (route) => standingColour(standingOf(route)) },
];

/** Backends of a route, each once, with their shares where a rule has several. */
export function backendsOf({ spec }: Route): string[] {
  // What a rule's backends have but for their filters is the same for both kinds.
  const rules = (spec?.rules ?? []) as HttpRoute["spec"]["rules"];
  const all = rules.flatMap(({ backendRefs = [] }) =>
    backendRefs.map(({ name, namespace, port, weight }) => {
      const place = `${namespace === undefined ? "" : `${namespace}/`}${name}${port === undefined ? "" : `:${port}`}`;
      return backendRefs.length > 1 ? `${place}=${weight}` : place;
    }),
  );
  return [...new Set(all)];
}

const addressesOf = ({ endpoints = [] }: EndpointSlice) => endpoints.flatMap(({ addresses }) => addresses.slice(0, 1));

const columns: Record<string, ObjectColumn[]> = {
  Service: [
    column<Service>("ADDRESS", ({ spec }) => (spec.type === "ExternalName" ? spec.externalName : spec.clusterIP)),
    column<Service>("PORTS", ({ spec }) =>
      list(
        spec.ports?.map(({ port, appProtocol }) => (appProtocol === undefined ? port : `${port}/${appProtocol}`)),
        5,
      ),
    ),
    column<Service>("TYPE", ({ spec }) => spec.type, true),
    column<Service>("SELECTOR", ({ spec }) => list(Object.entries(spec.selector ?? {}).map((pair) => pair.join("="))), true),
  ],
  EndpointSlice: [
    column<ApiObject>("SERVICE", ({ metadata }) => metadata.labels?.["kubernetes.io/service-name"]),
    column<EndpointSlice>("ENDPOINTS", (slice) => list(addressesOf(slice))),
    column<EndpointSlice>("PORTS", ({ ports }) => list(ports?.map(({ port }) => port ?? "any"))),
    column<EndpointSlice>("TYPE", ({ addressType }) => addressType, true),
  ],
  HTTPRoute: routeColumns,
  GRPCRoute: routeColumns,
  Workload: [
    column<Workload>("SERVICE", ({ spec }) => spec.service),
    column<Workload>("STATE", ({ status }) => status?.state),
    column<Workload>("ADDRESS", ({ status }) => status?.address),
    column<Workload>("PORTS", ({ status }) => list(status?.ports?.map(({ servicePort }) => servicePort))),
    column<Workload>("PROGRAM", ({ spec }) => spec.command?.join(" "), true),
  ],
  Mesh: [column<Mesh>("TRUST DOMAIN", ({ spec }) => spec.trustDomain)],
};

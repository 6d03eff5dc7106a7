import type { EndpointSlice, GrpcRoute, HttpRoute, Mesh, Service, Workload } from "@weft/api/kinds";
import type { StoredObject } from "../store/store.ts";
import type { ServedKind } from "./namespaces.ts";

/** A column of what `kubectl get` prints. */
export interface Column {
  name: string;
  description: string;
  /** Whether it is shown by `-o wide` only. */
  isWide?: boolean;
  /** What is in it; empty when there is nothing to say. */
  cell(object: StoredObject): string;
}

/** Columns of a kind's table. */
export function columnsOf({ kind }: ServedKind): Column[] {
  const own = columns[kind] ?? [];
  const isWide = ({ isWide = false }: Column) => isWide;
  return [name, ...own.filter((each) => !isWide(each)), age, ...own.filter(isWide)];
}

const name: Column = { name: "Name", description: "Name of the object.", cell: ({ metadata }) => metadata.name };

const age: Column = {
  name: "Age",
  description: "For how long it has been there.",
  cell: ({ metadata }) =>
    metadata.creationTimestamp === undefined ? "<unknown>" : ageText(Date.now() - Date.parse(metadata.creationTimestamp)),
};

/** A time in at most two units: `5m10s`, `3d`. */
export function ageText(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const units = [
    [86_400, "d"],
    [3_600, "h"],
    [60, "m"],
    [1, "s"],
  ] as const;
  const at = Math.max(
    0,
    units.findIndex(([size]) => seconds >= size * (size === 1 ? 0 : 2)),
  );
  const [[size, unit], smaller] = [units[at] ?? units[3], units[at + 1]];
  const whole = Math.floor(seconds / size);
  const rest = smaller === undefined || whole >= 10 ? 0 : Math.floor((seconds % size) / smaller[0]);
  return `${whole}${unit}${rest > 0 ? `${rest}${smaller?.[1]}` : ""}`;
}

/** A column whose cell knows the kind's type. */
function column<Object>(name: string, description: string, cell: (object: Object) => string | undefined, isWide = false): Column {
  return { name, description, isWide, cell: (object) => cell(object as unknown as Object) ?? "" };
}

const list = (texts: readonly (string | number)[] = [], most = 3) =>
  texts.length > most ? `${texts.slice(0, most).join(",")} + ${texts.length - most} more...` : texts.join(",");

type Route = HttpRoute | GrpcRoute;

const conditionsOf = (route: Route) => (route.status?.parents ?? []).flatMap(({ conditions }) => conditions);

/** Whether a condition holds at all parents; empty when nobody says so. */
function holds(route: Route, type: string): string {
  const found = conditionsOf(route).filter((each) => each.type === type);
  return found.find(({ status }) => status !== "True")?.status ?? found[0]?.status ?? "";
}

const routeColumns = [
  column<Route>("Parents", "What the route is for.", ({ spec }) => list(spec?.parentRefs?.map(({ kind, name }) => `${kind}/${name}`))),
  column<Route>("Accepted", "Whether its parents take it.", (route) => holds(route, "Accepted")),
  column<Route>("Resolved", "Whether everything that it names is there.", (route) => holds(route, "ResolvedRefs")),
  column<Route>("Hostnames", "Hosts for which it is.", ({ spec }) => list(spec?.hostnames), true),
  column<Route>(
    "Backends",
    "Where requests go, with weights.",
    ({ spec }) =>
      list(
        (spec?.rules ?? []).flatMap(({ backendRefs = [] }) =>
          backendRefs.map(({ name, port, weight }) => `${name}${port === undefined ? "" : `:${port}`}${weight === 1 ? "" : `=${weight}`}`),
        ),
        5,
      ),
    true,
  ),
];

const columns: Record<string, Column[]> = {
  Namespace: [column<{ status: { phase: string } }>("Status", "State of the namespace.", ({ status }) => status.phase)],
  Service: [
    column<Service>("Type", "How it is reached.", ({ spec }) => spec.type),
    column<Service>("Cluster-IP", "Its address.", ({ spec }) => spec.clusterIP),
    column<Service>("External-IP", "Where it is reached from outside.", ({ spec, status }) =>
      spec.type === "ExternalName"
        ? spec.externalName
        : list([...(spec.externalIPs ?? []), ...(status?.loadBalancer?.ingress ?? []).flatMap(({ ip, hostname }) => ip ?? hostname ?? [])]),
    ),
    column<Service>("Port(s)", "Ports that callers use.", ({ spec }) =>
      list(
        spec.ports?.map(({ port, protocol }) => `${port}/${protocol}`),
        5,
      ),
    ),
    column<Service>(
      "Selector",
      "Labels of its instances.",
      ({ spec }) =>
        list(
          Object.entries(spec.selector ?? {}).map((pair) => pair.join("=")),
          5,
        ),
      true,
    ),
  ],
  EndpointSlice: [
    column<EndpointSlice>("AddressType", "What its addresses are.", ({ addressType }) => addressType),
    column<EndpointSlice>("Ports", "Ports of every endpoint.", ({ ports }) => list(ports?.map(({ port }) => port ?? "*"))),
    column<EndpointSlice>("Endpoints", "Addresses of the endpoints.", ({ endpoints }) =>
      list(endpoints?.map(({ addresses }) => addresses[0] ?? "")),
    ),
  ],
  HTTPRoute: routeColumns,
  GRPCRoute: routeColumns,
  Workload: [
    column<Workload>("Service", "Service of which it is an instance.", ({ spec }) => spec.service),
    column<Workload>("State", "How it runs.", ({ status }) => status?.state),
    column<Workload>("Address", "Its own address within the mesh.", ({ status }) => status?.address),
    column<Workload>("Ports", "Ports that it serves.", ({ status }) =>
      list(
        status?.ports?.map(({ servicePort }) => servicePort),
        5,
      ),
    ),
    column<Workload>("Program", "What was started.", ({ spec }) => spec.command?.[0], true),
  ],
  Mesh: [column<Mesh>("Trust-Domain", "First part of every identity.", ({ spec }) => spec.trustDomain)],
};

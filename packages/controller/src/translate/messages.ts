import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type EndpointSchema,
  type EndpointsSchema,
  type HeaderChangesSchema,
  type RouteMatchSchema,
  RoutesKind,
  type RoutesSchema,
  type ServiceSchema,
} from "@weft/api/proto";
import type { Edits, Failure, HeaderChanges, Match, Share } from "../graph/views/compiled-route.ts";
import type { ServiceEndpoint } from "../graph/views/endpoints.ts";
import type { Routes } from "../graph/views/routes.ts";
import type { ServiceValue } from "../graph/views/service.ts";
import { wireProtocol } from "../protocols.ts";

/** What callers see of a service, as the contract says it. */
export function serviceMessage({ addresses, ports }: ServiceValue): MessageInitShape<typeof ServiceSchema> {
  return { addresses: [...addresses], ports: ports.map(({ port, protocol }) => ({ port, protocol: wireProtocol(protocol) })) };
}

/** Routes, as the contract says them: rules once, and matches in order, each with its rule. */
export function routesMessage({ kind, routes }: Routes): MessageInitShape<typeof RoutesSchema> {
  const rules = new Map(routes.map((each) => [ruleKey(each), each]));
  const places = new Map([...rules.keys()].map((key, index) => [key, index]));
  return {
    kind: kind === "GRPCRoute" ? RoutesKind.GRPC : RoutesKind.HTTP,
    rules: [...rules.values()].map(({ route, rule, action: { to, edits } }) => ({
      route,
      index: rule,
      ...("reason" in to ? { failure: to.reason } : { backends: to.map(backendMessage) }),
      ...editsMessage(edits),
    })),
    matches: routes.map((each) => ({ rule: places.get(ruleKey(each)) ?? 0, ...matchMessage(each.match) })),
  };
}

const ruleKey = ({ route, rule }: Routes["routes"][number]) => `${route} ${rule}`;

function backendMessage({ weight, to }: Share) {
  if ("reason" in to) return { weight, failure: (to as Failure).reason };
  return { weight, service: to.service, port: to.port, ...editsMessage(to.edits) };
}

function editsMessage({ request, response }: Edits) {
  return {
    ...(request === undefined ? {} : { requestHeaders: changesMessage(request) }),
    ...(response === undefined ? {} : { responseHeaders: changesMessage(response) }),
  };
}

function changesMessage({ remove, set, add }: HeaderChanges): MessageInitShape<typeof HeaderChangesSchema> {
  return { remove: [...remove], set: [...set], add: [...add] };
}

function matchMessage({ path, method, rpc, headers, queryParams }: Match): Omit<MessageInitShape<typeof RouteMatchSchema>, "$typeName"> {
  return {
    ...(path === undefined
      ? {}
      : { path: { match: { case: path.type === "Exact" ? ("exact" as const) : ("prefix" as const), value: path.value } } }),
    method: method ?? "",
    grpcService: rpc?.service ?? "",
    grpcMethod: rpc?.method ?? "",
    headers: [...headers],
    queryParams: [...queryParams],
  };
}

/** Endpoints that may be called, as the contract says them. */
export function endpointMessages(endpoints: readonly ServiceEndpoint[]): MessageInitShape<typeof EndpointSchema>[] {
  return endpoints
    .filter(({ ready, ports }) => ready && ports.length > 0)
    .map(({ id, addresses, ports, sidecar }) => ({
      id,
      addresses: [...addresses],
      inboundPort: sidecar?.port ?? 0,
      identities: sidecar === undefined ? [] : [sidecar.identity],
      ports: ports.map(({ port, targetPort }) => ({ servicePort: port, targetPort })),
    }));
}

/** What a set of endpoints became since another: undefined when that is no shorter than the whole. */
export function difference(
  before: ReadonlyMap<string, string>,
  after: ReadonlyMap<string, string>,
  endpoints: readonly MessageInitShape<typeof EndpointSchema>[],
): MessageInitShape<typeof EndpointsSchema> | undefined {
  const changed = endpoints.filter(({ id = "" }) => before.get(id) !== after.get(id));
  const removed = [...before.keys()].filter((id) => !after.has(id));
  return changed.length + removed.length < endpoints.length ? { endpoints: changed, removed } : undefined;
}

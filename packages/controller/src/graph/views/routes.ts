import { resources } from "../lists.ts";
import { type RoutesScope, scopeOf, serviceOf } from "../names.ts";
import type { Reader } from "../reader.ts";
import { placeOf } from "../snapshot.ts";
import type { View } from "../view.ts";
import type { Action, CompiledRoute, Match } from "./compiled-route.ts";
import { grpcRouteView } from "./grpc-route.ts";
import { httpRouteView } from "./http-route.ts";
import { byPrecedence } from "./precedence.ts";

/** What happens to requests that match, and which rule says so. */
export interface Route {
  /** `default/users`. */
  readonly route: string;
  /** Place of the rule in it, from 0. */
  readonly rule: number;
  readonly match: Match;
  /** Shared by all matches of a rule. */
  readonly action: Action;
}

/** Routes for a port of a service: the first that matches wins. A request that none matches is answered with 404 (gRPC: UNIMPLEMENTED). */
export interface Routes {
  readonly kind: CompiledRoute["kind"];
  readonly routes: readonly Route[];
}

/**
 * Routes by `routesKey`; undefined when there are none, and requests go to the service itself. Those of consumers, in another namespace than the
 * service, take the place of the service's own for callers of their namespace.
 */
export const routesView: View<Routes> = {
  name: "routes",
  make(reader, key) {
    const attached = routesFor(reader, scopeOf(key));
    const [first] = attached;
    if (first === undefined) return { value: undefined, findings: [] };
    const candidates = attached.flatMap((route) => route.rules.flatMap((rule) => rule.matches.map((match) => ({ route, rule, match }))));
    const routes = candidates
      .sort(byPrecedence)
      .map(({ route, rule, match }) => ({ route: placeOf(route), rule: rule.index, match, action: rule.action }));
    return { value: { kind: first.kind, routes }, findings: [] };
  },
};

/** Services that routes send requests to. */
export function backendsOf({ routes }: Routes): string[] {
  const services = routes.flatMap(({ action: { to } }) =>
    "reason" in to ? [] : to.flatMap((share) => ("reason" in share.to ? [] : share.to.service)),
  );
  return [...new Set(services)];
}

function routesFor(reader: Reader, { service, port, callers }: RoutesScope): CompiledRoute[] {
  const namespace = callers ?? serviceOf(service).namespace;
  return [
    { resource: resources.grpcRoutes, view: grpcRouteView },
    { resource: resources.httpRoutes, view: httpRouteView },
  ].flatMap(({ resource, view }) =>
    reader
      .list(resource, service)
      .filter(({ metadata }) => metadata.namespace === namespace)
      .map(({ metadata }) => reader.view(view, placeOf(metadata)))
      .filter((route) => route !== undefined)
      .filter(({ attachments }) => attachments.some((each) => each.service === service && each.ports.includes(port))),
  );
}

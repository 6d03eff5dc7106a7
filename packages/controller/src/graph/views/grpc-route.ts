import type { GrpcRoute } from "@weft/api/kinds";
import { resources } from "../lists.ts";
import type { View } from "../view.ts";
import { compileRoute, type RuleParts } from "./compile-route.ts";
import type { CompiledRoute, Match } from "./compiled-route.ts";
import { fieldsOf, regular } from "./matches.ts";

type Rule = NonNullable<GrpcRoute["spec"]["rules"]>[number];

/** A GRPCRoute by namespace and name (`default/users`). */
export const grpcRouteView: View<CompiledRoute> = {
  name: "grpcRoute",
  make(reader, key) {
    const [namespace = "", name = ""] = key.split("/");
    const object = reader.get({ resource: resources.grpcRoutes, namespace, name });
    if (object === undefined) return { value: undefined, findings: [] };
    const rules = ((object as unknown as GrpcRoute).spec.rules ?? []).map(partsOf);
    return compileRoute(reader, object, { kind: "GRPCRoute", resource: resources.grpcRoutes, rules, isTaken: () => false });
  },
};

function partsOf({ matches, filters, backendRefs }: Rule): RuleParts {
  const every = matches === undefined || matches.length === 0 ? [{}] : matches;
  const unsupported = every.flatMap(({ method, headers = [] }, index) => [
    ...regular(method === undefined ? [] : [method], `matches[${index}].method`),
    ...regular(headers, `matches[${index}].headers`),
  ]);
  return { matches: every.map(matchOf), unsupported, filters, backendRefs };
}

function matchOf({ method, headers = [] }: NonNullable<Rule["matches"]>[number]): Match {
  const { service, method: called } = method ?? {};
  return {
    rpc: { ...(service === undefined ? {} : { service }), ...(called === undefined ? {} : { method: called }) },
    headers: fieldsOf(headers),
    queryParams: [],
  };
}

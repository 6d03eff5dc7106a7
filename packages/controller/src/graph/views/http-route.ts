import type { HttpRoute } from "@weft/api/kinds";
import { resources } from "../lists.ts";
import { placeOf } from "../snapshot.ts";
import type { View } from "../view.ts";
import { compileRoute, type RuleParts } from "./compile-route.ts";
import type { CompiledRoute, Match } from "./compiled-route.ts";
import { grpcRouteView } from "./grpc-route.ts";
import { fieldsOf, regular } from "./matches.ts";

type Rule = HttpRoute["spec"]["rules"][number];

/** An HTTPRoute by namespace and name (`default/users`). A port that a GRPCRoute of the same namespace has is not its: one kind of route holds (GEP-1426). */
export const httpRouteView: View<CompiledRoute> = {
  name: "httpRoute",
  make(reader, key) {
    const [namespace = "", name = ""] = key.split("/");
    const object = reader.get({ resource: resources.httpRoutes, namespace, name });
    if (object === undefined) return { value: undefined, findings: [] };
    const isTaken = (service: string, port: number) =>
      reader
        .list(resources.grpcRoutes, service)
        .filter(({ metadata }) => metadata.namespace === namespace)
        .flatMap(({ metadata }) => reader.view(grpcRouteView, placeOf(metadata))?.attachments ?? [])
        .some((attachment) => attachment.service === service && attachment.ports.includes(port));
    const rules = (object as unknown as HttpRoute).spec.rules.map(partsOf);
    return compileRoute(reader, object, { kind: "HTTPRoute", resource: resources.httpRoutes, rules, isTaken });
  },
};

function partsOf({ matches, filters, backendRefs, timeouts }: Rule): RuleParts {
  const unsupported = matches.flatMap(({ path, headers = [], queryParams = [] }, index) => [
    ...(path.type === "RegularExpression" ? [{ path: `matches[${index}].path`, what: "a RegularExpression" }] : []),
    ...regular(headers, `matches[${index}].headers`),
    ...regular(queryParams, `matches[${index}].queryParams`),
  ]);
  const message = "Requests are not ended by the route's timeouts yet: they take as long as they like.";
  const notYet = timeouts === undefined ? [] : [{ path: "timeouts", message }];
  return { matches: matches.map(matchOf), unsupported, filters, backendRefs, notYet };
}

function matchOf({ path, method, headers = [], queryParams = [] }: Rule["matches"][number]): Match {
  const { type, value } = path;
  return {
    path: type === "Exact" ? { type, value } : { type: "Prefix", value: value.replace(/(?<=.)\/$/, "") },
    ...(method === undefined ? {} : { method }),
    headers: fieldsOf(headers),
    queryParams: queryParams.map(({ name, value }) => ({ name, value })),
  };
}

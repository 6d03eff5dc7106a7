import type { z } from "zod";
import { experimental } from "../gateway-api/channel.ts";
import { defineKind } from "../kind.ts";
import { rules } from "./rules.ts";
import { fields } from "./schema.ts";

/** HTTPRoute of Gateway API 1.6, standard channel. */
export const httpRoute = defineKind({
  group: "gateway.networking.k8s.io",
  version: "v1",
  kind: "HTTPRoute",
  plural: "httproutes",
  singular: "httproute",
  shortNames: [],
  namespaced: true,
  description:
    "Directs HTTP requests: by path, method, fields and query parameters to backends, shared out by weight, changed, redirected or copied on their way. With a Service as parent it holds for calls to that Service within the mesh.",
  fields,
  rules,
  removed: {
    "spec.gateways": "Write parentRefs, a list of references with group, kind and name",
    "spec.useDefaultGateways": experimental,
    "spec.rules[].forwardTo": "Write backendRefs, with name instead of serviceName",
    "spec.rules[].retry": experimental,
    "spec.rules[].sessionPersistence": experimental,
    "spec.rules[].filters[].externalAuth": experimental,
    "spec.rules[].backendRefs[].filters[].externalAuth": experimental,
  },
});

/** An HTTPRoute, its defaults filled in. */
export type HttpRoute = z.output<typeof httpRoute.schema>;

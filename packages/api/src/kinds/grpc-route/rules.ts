import { grpcFilterFields } from "../gateway-api/filters.ts";
import { backendRules, filterRules, matchCountRule, parentRules, weightRule } from "../gateway-api/rules.ts";
import { type Rule, rule } from "../kind.ts";
import type { GrpcMethodMatch } from "./schema.ts";

const single = ["RequestHeaderModifier", "ResponseHeaderModifier"];
const method = "spec.rules[].matches[].method";

/** What must hold of GRPCRoutes beyond their fields' types. */
export const rules: Rule[] = [
  ...parentRules,
  matchCountRule,
  weightRule,
  ...filterRules("spec.rules[].filters", grpcFilterFields, single),
  ...filterRules("spec.rules[].backendRefs[].filters", grpcFilterFields, single),
  ...backendRules("spec.rules[].backendRefs[]"),
  rule<GrpcMethodMatch>(method, {
    cause: "neither service nor method is given",
    remedy: "Give one of them, or leave the match's method out",
    holds: ({ service, method }) => service !== undefined || method !== undefined,
  }),
  rule<GrpcMethodMatch>(method, {
    field: "service",
    cause: "service is no full name of a gRPC service",
    remedy: "Write package and service as in the .proto file, such as users.v1.Users; or set type: RegularExpression",
    holds: ({ type, service }) => type !== "Exact" || service === undefined || /^\.?[a-z_][a-z_0-9]*(\.[a-z_][a-z_0-9]*)*$/i.test(service),
  }),
  rule<GrpcMethodMatch>(method, {
    field: "method",
    cause: "method is no name of a gRPC method",
    remedy: "Write it as in the .proto file, such as Get; or set type: RegularExpression",
    holds: ({ type, method }) => type !== "Exact" || method === undefined || /^[A-Za-z_][A-Za-z_0-9]*$/.test(method),
  }),
];

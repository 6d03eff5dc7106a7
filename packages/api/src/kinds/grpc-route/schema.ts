import { z } from "zod";
import { atomicList, mapList } from "../common/lists.ts";
import { dnsSubdomain, text, token } from "../common/scalars.ts";
import { grpcFilters } from "../gateway-api/filters.ts";
import { backendRefs, hostnames, parentRefs } from "../gateway-api/references.ts";
import { routeStatus } from "../gateway-api/status.ts";

const howToMatch = z.enum(["Exact", "RegularExpression"]).default("Exact");

const methodMatch = z.strictObject({
  type: howToMatch.describe("How service and method are compared."),
  service: text(1024, 0).optional().describe("Full name of the service, such as users.v1.Users. Default: any. It or method is needed."),
  method: text(1024, 0).optional().describe("Name of the method, such as Get. Default: any. It or service is needed."),
});

const headerMatch = z.strictObject({
  type: howToMatch.describe("How value is compared."),
  name: token.describe("Name of the field, in any case."),
  value: text(4096).describe("What the field's value is compared with."),
});

const match = z.strictObject({
  method: methodMatch.optional().describe("Which services and methods match. Default: all."),
  headers: mapList(headerMatch, ["name"], 16).optional().describe("Metadata fields that a call must have, all of them."),
});

const routeRule = z.strictObject({
  name: dnsSubdomain.optional().describe("Name of the rule, unique in the route."),
  matches: atomicList(match, 64)
    .optional()
    .describe("Calls that the rule is for: those that match one of these. Default: all. At most 128 in a route."),
  filters: grpcFilters("What is done to calls on their way, in no promised order."),
  backendRefs: backendRefs(grpcFilters("What is done to calls that go to this backend.")),
});

/** Fields of a GRPCRoute. */
export const fields = {
  spec: z
    .strictObject({
      parentRefs,
      hostnames: hostnames("calls"),
      rules: atomicList(routeRule, 16)
        .optional()
        .describe("What happens to calls. Of several that match, the longest service wins, then method, then fields, then order."),
    })
    .describe("Which calls the route is for, and where they go."),
  status: routeStatus,
};

/** A match of a GRPCRoute by service and method, its defaults filled in. */
export type GrpcMethodMatch = z.output<typeof methodMatch>;

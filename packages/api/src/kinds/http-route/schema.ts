import { z } from "zod";
import { atomicList, mapList } from "../common/lists.ts";
import { dnsSubdomain, duration, text, token } from "../common/scalars.ts";
import { httpFilters, methods } from "../gateway-api/filters.ts";
import { backendRefs, hostnames, parentRefs } from "../gateway-api/references.ts";
import { routeStatus } from "../gateway-api/status.ts";

const howToMatch = z.enum(["Exact", "RegularExpression"]).default("Exact");

const everyPath = { path: { type: "PathPrefix", value: "/" } } as const;

const pathMatch = z
  .strictObject({
    type: z
      .enum(["Exact", "PathPrefix", "RegularExpression"])
      .default("PathPrefix")
      .describe("How value is compared. A prefix ends at a slash: /users matches /users and /users/7, not /usersville."),
    value: text(1024, 0).default("/").describe("What the path is compared with, case and all."),
  })
  .prefault(everyPath.path)
  .describe("Which paths match. Default: all.");

const headerMatch = z.strictObject({
  type: howToMatch.describe("How value is compared."),
  name: token.describe("Name of the field, in any case."),
  value: text(4096).describe("What the field's value is compared with."),
});

const queryParamMatch = z.strictObject({
  type: howToMatch.describe("How value is compared."),
  name: token.describe("Name of the parameter, case and all."),
  value: text(1024).describe("What the parameter's value is compared with."),
});

const match = z.strictObject({
  path: pathMatch,
  headers: mapList(headerMatch, ["name"], 16).optional().describe("Fields that a request must have, all of them."),
  queryParams: mapList(queryParamMatch, ["name"], 16).optional().describe("Query parameters that a request must have, all of them."),
  method: z.enum(methods).optional().describe("Method that a request must have. Default: any."),
});

const timeouts = z.strictObject({
  request: duration.optional().describe("How long a request may take in all, retries and all: 500ms, 10s, 1m30s. 0s is without limit."),
  backendRequest: duration
    .optional()
    .describe("How long one attempt at a backend may take; at most as long as request. 0s is without limit."),
});

const routeRule = z.strictObject({
  name: dnsSubdomain.optional().describe("Name of the rule, unique in the route."),
  matches: atomicList(match, 64)
    .prefault([everyPath])
    .describe("Requests that the rule is for: those that match one of these. Default: all. At most 128 in a route."),
  filters: httpFilters("What is done to requests on their way, in no promised order."),
  backendRefs: backendRefs(httpFilters("What is done to requests that go to this backend.")),
  timeouts: timeouts.optional().describe("How long requests may take. Default: as long as they like."),
});

/** Fields of an HTTPRoute. */
export const fields = {
  spec: z
    .strictObject({
      parentRefs,
      hostnames: hostnames("requests"),
      rules: atomicList(routeRule, 16)
        .min(1)
        .prefault([{ matches: [everyPath] }])
        .describe(
          "What happens to requests. Of several that match, the most specific path wins, then method, fields and parameters, then order.",
        ),
    })
    .describe("Which requests the route is for, and where they go."),
  status: routeStatus,
};

/** A rule of an HTTPRoute, its defaults filled in. */
export type HttpRouteRule = z.output<typeof routeRule>;
/** A match of an HTTPRoute, its defaults filled in. */
export type HttpRouteMatch = z.output<typeof match>;

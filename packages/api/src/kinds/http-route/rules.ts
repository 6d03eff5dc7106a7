import { durationMs } from "../common/scalars.ts";
import { httpFilterFields } from "../gateway-api/filters.ts";
import { backendRules, filterRules, matchCountRule, parentRules, unionRules, weightRule } from "../gateway-api/rules.ts";
import { type Rule, rule } from "../kind.ts";
import type { HttpRouteMatch, HttpRouteRule } from "./schema.ts";

type Filter = NonNullable<HttpRouteRule["filters"]>[number];

const pathForms = { ReplaceFullPath: "replaceFullPath", ReplacePrefixMatch: "replacePrefixMatch" };
const single = ["RequestHeaderModifier", "ResponseHeaderModifier", "RequestRedirect", "URLRewrite", "CORS"];

const wildcardAlone = (at: string) =>
  rule<string[]>(at, {
    cause: "* is there beside others",
    remedy: "Leave the others out, or the *",
    holds: (values) => values.length <= 1 || !values.includes("*"),
  });

function filtersAt(at: string): Rule[] {
  return [
    ...filterRules(at, httpFilterFields, single),
    rule<Filter[]>(at, {
      cause: "RequestRedirect and URLRewrite exclude each other",
      remedy: "A redirect never reaches a backend: leave one out",
      holds: (filters) => !(filters.some(({ type }) => type === "RequestRedirect") && filters.some(({ type }) => type === "URLRewrite")),
    }),
    ...unionRules(`${at}[].requestRedirect.path`, pathForms),
    ...unionRules(`${at}[].urlRewrite.path`, pathForms),
    ...["allowOrigins", "allowMethods", "allowHeaders"].map((list) => wildcardAlone(`${at}[].cors.${list}`)),
  ];
}

function pathRule(cause: string, remedy: string, isFine: (path: string) => boolean): Rule {
  return rule<HttpRouteMatch["path"]>("spec.rules[].matches[].path", {
    field: "value",
    cause: `${cause} in a path of type Exact or PathPrefix`,
    remedy,
    holds: ({ type, value }) => type === "RegularExpression" || isFine(value),
  });
}

const pathRules = [
  pathRule("the first slash is missing", "Begin it with /", (path) => path.startsWith("/")),
  pathRule("there is //", "Requests' paths are compared without empty segments: write one slash", (path) => !path.includes("//")),
  pathRule("there is a segment . or ..", "Write the path that it leads to", (path) => !/\/\.\.?(\/|$)/.test(path)),
  pathRule("there is an encoded slash (%2F)", "Write /, or match by RegularExpression", (path) => !/%2f|%2F/.test(path)),
  pathRule("there is #", "A fragment never reaches a server: leave it out", (path) => !path.includes("#")),
  pathRule(
    "a character is not encoded",
    "Encode it: a blank is %20",
    (path) => path.includes("#") || /^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|%[0-9a-fA-F]{2})+$/.test(path),
  ),
];

const hasPrefixMatch = ({ matches }: HttpRouteRule) => matches.length === 1 && matches[0]?.path.type === "PathPrefix";

/** A prefix can be replaced where exactly one is matched. */
function prefixRule(field: "requestRedirect" | "urlRewrite", where: "filters" | "backendRefs"): Rule {
  const replaces = (filters: Filter[] = []) =>
    filters.filter((filter) => filter[field]?.path?.replacePrefixMatch !== undefined).length === 1;
  return rule<HttpRouteRule>("spec.rules[]", {
    field: "matches",
    cause: `${field} in ${where} replaces the matched prefix, but the rule has not exactly one match, a PathPrefix`,
    remedy: "Match one PathPrefix, or use ReplaceFullPath",
    holds: (value) => {
      const isAsked =
        where === "filters"
          ? replaces(value.filters)
          : (value.backendRefs ?? []).filter((backend) => replaces(backend.filters)).length === 1;
      return !isAsked || hasPrefixMatch(value);
    },
  });
}

/** What must hold of HTTPRoutes beyond their fields' types. */
export const rules: Rule[] = [
  ...parentRules,
  matchCountRule,
  weightRule,
  ...pathRules,
  ...filtersAt("spec.rules[].filters"),
  ...filtersAt("spec.rules[].backendRefs[].filters"),
  ...backendRules("spec.rules[].backendRefs[]"),
  rule<HttpRouteRule>("spec.rules[]", {
    field: "backendRefs",
    cause: "requests are redirected, and there are backends",
    remedy: "A redirect never reaches a backend: leave backendRefs out",
    holds: ({ filters = [], backendRefs = [] }) =>
      backendRefs.length === 0 || filters.every((filter) => filter.requestRedirect === undefined),
  }),
  prefixRule("requestRedirect", "filters"),
  prefixRule("urlRewrite", "filters"),
  prefixRule("requestRedirect", "backendRefs"),
  prefixRule("urlRewrite", "backendRefs"),
  rule<NonNullable<HttpRouteRule["timeouts"]>>("spec.rules[].timeouts", {
    field: "backendRequest",
    cause: "one attempt may take longer than the whole request",
    remedy: "Make backendRequest at most as long as request",
    holds: ({ request, backendRequest }) => {
      if (request === undefined || backendRequest === undefined) return true;
      return durationMs(request) === 0 || durationMs(backendRequest) <= durationMs(request);
    },
  }),
];

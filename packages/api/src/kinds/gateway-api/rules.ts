import { type Rule, rule } from "../kind.ts";

// Rules that routes of both kinds share.

interface Parent {
  group: string;
  kind: string;
  namespace?: string;
  name: string;
  sectionName?: string;
}

const samePlace = (a: Parent, b: Parent) =>
  a.group === b.group && a.kind === b.kind && a.name === b.name && (a.namespace ?? "") === (b.namespace ?? "");

const pairs = <Item>(items: Item[]) => items.flatMap((a, index) => items.slice(index + 1).map((b) => [a, b] as const));

/** References to one parent must say which part of it each means. */
export const parentRules: Rule[] = [
  rule<Parent[]>("spec.parentRefs", {
    cause: "two references to the same parent do not both name a section",
    remedy: "Give each a sectionName, or leave one out",
    holds: (parents) =>
      pairs(parents).every(([a, b]) => !samePlace(a, b) || (a.sectionName === undefined) === (b.sectionName === undefined)),
  }),
  rule<Parent[]>("spec.parentRefs", {
    cause: "two references are to the same section of the same parent",
    remedy: "Leave one out",
    holds: (parents) => pairs(parents).every(([a, b]) => !samePlace(a, b) || a.sectionName !== b.sectionName),
  }),
];

/** A Service is reached by a port. */
export function backendRules(at: string): Rule[] {
  return [
    rule<{ group: string; kind: string; port?: number }>(at, {
      cause: "a Service is referred to without its port",
      remedy: "Add port, the Service's port that is called",
      holds: ({ group, kind, port }) => group !== "" || kind !== "Service" || port !== undefined,
    }),
  ];
}

/** Backends that all have no share: requests fail, which may be meant. */
export const weightRule = rule<{ weight: number }[]>("spec.rules[].backendRefs", {
  warning: true,
  cause: "every weight is 0, so requests fail",
  remedy: "Give one backend a weight, if they are to be answered",
  holds: (backends) => backends.length === 0 || backends.some(({ weight }) => weight > 0),
});

/** At most 128 matches in all rules together. */
export const matchCountRule = rule<{ matches?: unknown[] }[]>("spec.rules", {
  cause: "the rules have more than 128 matches together",
  remedy: "Divide them among several routes",
  holds: (rules) => rules.reduce((sum, { matches = [] }) => sum + matches.length, 0) <= 128,
});

/** Of an object with a `type`, exactly the field that the type names is there. */
export function unionRules(at: string, fields: Record<string, string>): Rule[] {
  return Object.entries(fields).flatMap(([type, field]) => [
    rule<Record<string, unknown>>(at, {
      field,
      cause: `${field} is set, but type is not ${type}`,
      remedy: `Set type: ${type}, or leave ${field} out`,
      holds: (value) => value[field] === undefined || value.type === type,
    }),
    rule<Record<string, unknown>>(at, {
      cause: `type is ${type}, but ${field} is missing`,
      remedy: `Add ${field}`,
      holds: (value) => value.type !== type || value[field] !== undefined,
    }),
  ]);
}

/** In a list of filters, those of a type come once. */
function once(at: string, type: string): Rule {
  return rule<{ type: string }[]>(at, {
    cause: `there are two filters of type ${type}`,
    remedy: "Put what they say into one",
    holds: (filters) => filters.filter((filter) => filter.type === type).length <= 1,
  });
}

/** Rules of a list of filters that is at `at`. */
export function filterRules(at: string, fields: Record<string, string>, single: string[]): Rule[] {
  return [
    ...single.map((type) => once(at, type)),
    ...unionRules(`${at}[]`, fields),
    ...backendRules(`${at}[].requestMirror.backendRef`),
    rule<{ percent?: number; fraction?: unknown }>(`${at}[].requestMirror`, {
      field: "fraction",
      cause: "percent and fraction are both set",
      remedy: "Leave one out",
      holds: ({ percent, fraction }) => percent === undefined || fraction === undefined,
    }),
    rule<{ numerator: number; denominator: number }>(`${at}[].requestMirror.fraction`, {
      field: "numerator",
      cause: "numerator is greater than denominator",
      remedy: "Copy at most all requests: a numerator up to the denominator",
      holds: ({ numerator, denominator }) => numerator <= denominator,
    }),
  ];
}

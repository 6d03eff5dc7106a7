import type { CompiledRoute, CompiledRule, Match } from "./compiled-route.ts";

/** A match with where it comes from. */
export interface Candidate {
  readonly route: CompiledRoute;
  readonly rule: CompiledRule;
  readonly match: Match;
}

/**
 * Orders matches of routes of one kind so that the first that matches wins, as Gateway API says: the more specific, then the older route, then by
 * namespace/name, then as the route has them (for which the sort must be stable).
 */
export function byPrecedence(a: Candidate, b: Candidate): number {
  return (
    compareSpecificity(specificityOf(b.match), specificityOf(a.match)) ||
    compareTexts(a.route.created, b.route.created) ||
    compareTexts(`${a.route.namespace}/${a.route.name}`, `${b.route.namespace}/${b.route.name}`)
  );
}

// What counts first comes first. An HTTPRoute says nothing of services and methods of gRPC, a GRPCRoute nothing of paths, methods and parameters.
function specificityOf({ path, method, rpc, headers, queryParams }: Match): number[] {
  return [
    path?.type === "Exact" ? 1 : 0,
    path?.value.length ?? 0,
    rpc?.service?.length ?? 0,
    rpc?.method?.length ?? 0,
    method === undefined ? 0 : 1,
    headers.length,
    queryParams.length,
  ];
}

function compareSpecificity(a: readonly number[], b: readonly number[]): number {
  const index = a.findIndex((value, each) => value !== b[each]);
  return index === -1 ? 0 : (a[index] ?? 0) - (b[index] ?? 0);
}

function compareTexts(a: string, b: string): number {
  return a === b ? 0 : a < b ? -1 : 1;
}

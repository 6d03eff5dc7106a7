import type { HttpRoute } from "@weft/api/kinds";
import type { StoredObject } from "../../store/store.ts";
import { isService, parentsOf } from "../lists.ts";
import { canonicalName } from "../names.ts";
import type { Reader } from "../reader.ts";
import type { Finding, Result } from "../view.ts";
import { type BackendRef, type BackendScope, compileBackends, type Find } from "./backends.ts";
import type { Attachment, CompiledRoute, CompiledRule, Match } from "./compiled-route.ts";
import { compileFilters, type Filter } from "./filters.ts";
import { type ServicePort, serviceView } from "./service.ts";

/** What a kind of route says of a rule. */
export interface RuleParts {
  matches: readonly Match[];
  /** What of its matches is not supported yet, with its path within the rule. */
  unsupported: readonly { path: string; what: string }[];
  filters: readonly Filter[] | undefined;
  backendRefs: readonly BackendRef[] | undefined;
  /** What is accepted and not carried out yet, with its path within the rule. */
  notYet?: readonly { path: string; message: string }[];
}

/** What differs between the kinds of routes. */
export interface RouteKind {
  kind: CompiledRoute["kind"];
  resource: string;
  rules: readonly RuleParts[];
  /** Whether a route of a kind that goes before this one has the port. */
  isTaken(service: string, port: number): boolean;
}

type Parent = ReturnType<typeof parentsOf>[number];

/** A route by itself. What cannot be carried out is left out or answered with 500, and said. */
export function compileRoute(reader: Reader, route: StoredObject, { kind, resource, rules, isTaken }: RouteKind): Result<CompiledRoute> {
  const { namespace = "", name, creationTimestamp: created } = route.metadata;
  const findings: Finding[] = [];
  const find: Find = (path, reason, message, about = {}) =>
    findings.push({ object: { resource, namespace, name }, path, reason, message, ...about });
  if (((route as unknown as HttpRoute).spec.hostnames ?? []).length > 0)
    find("spec.hostnames", "Ignored", "Services are called by their own names: the route holds whatever host a request names.");
  const attachments: Attachment[] = [];
  for (const [parent, parentRef] of parentsOf(route).entries()) {
    if (!isService(parentRef)) continue;
    const service = canonicalName(parentRef.namespace ?? namespace, parentRef.name);
    const { ports, reason, message } = portsOf(reader, service, parentRef, isTaken);
    if (ports.length > 0) attachments.push({ parent, service, ports });
    if (reason === undefined) continue;
    find(`spec.parentRefs[${parent}]`, reason, message ?? "", ports.length > 0 ? { parent } : { parent, condition: "Accepted" });
  }
  const scope = { from: { group: "gateway.networking.k8s.io", kind, namespace }, parents: attachments.map(({ service }) => service), find };
  const compiled = rules.flatMap((parts, index) => compileRule(reader, parts, index, scope));
  if (rules.length > 0 && rules.every(isUnsupported)) {
    const message = "No rule of the route can be carried out yet, so it is not in force: requests go where they would go without it.";
    find("spec.rules", "UnsupportedValue", message, { condition: "Accepted" });
    return { value: { kind, namespace, name, created, attachments: [], rules: [] }, findings };
  }
  return { value: { kind, namespace, name, created, attachments, rules: compiled }, findings };
}

const isUnsupported = ({ unsupported, filters }: RuleParts) => unsupported.length > 0 || compileFilters(filters).unsupported.length > 0;

function compileRule(reader: Reader, parts: RuleParts, index: number, scope: Omit<BackendScope, "at">): CompiledRule[] {
  const at = `spec.rules[${index}]`;
  const { edits, unsupported } = compileFilters(parts.filters);
  const backends = compileBackends(reader, parts.backendRefs ?? [], { ...scope, at: `${at}.backendRefs` });
  const partly = { condition: "PartiallyInvalid" } as const;
  for (const { path, what } of parts.unsupported)
    scope.find(`${at}.${path}`, "UnsupportedValue", `Dropped Rule ${index}: ${what} is not supported yet.`, partly);
  if (unsupported.length > 0) {
    const message = `Requests of rule ${index} are answered with 500: filters of type ${unsupported.join(", ")} are not supported yet.`;
    scope.find(`${at}.filters`, "UnsupportedValue", message, partly);
  }
  for (const { path, message } of parts.notYet ?? []) scope.find(`${at}.${path}`, "NotYet", message);
  if (parts.unsupported.length > 0) return [];
  const to = unsupported.length > 0 ? { reason: "UnsupportedValue" } : backends;
  return [{ index, matches: parts.matches, action: { to, edits } }];
}

/** Ports of a Service that a parentRef means, and why it gets none or not all of them. */
function portsOf(
  reader: Reader,
  service: string,
  { port, sectionName }: Parent,
  isTaken: RouteKind["isTaken"],
): { ports: number[]; reason?: string; message?: string } {
  const value = reader.view(serviceView, service);
  if (value === undefined) return { ports: [], reason: "NoMatchingParent", message: `There is no Service ${service}.` };
  const isMeant = (each: ServicePort) => (port ?? each.port) === each.port && (sectionName ?? each.name) === each.name;
  const meant = value.ports.filter(isMeant).map((each) => each.port);
  if (meant.length === 0) {
    const asked = [port === undefined ? "" : ` ${port}`, sectionName === undefined ? "" : ` named ${sectionName}`].join("");
    return { ports: [], reason: "NoMatchingParent", message: `${service} has no TCP port${asked}.` };
  }
  const taken = meant.filter((each) => isTaken(service, each));
  if (taken.length === 0) return { ports: meant };
  const message = `A GRPCRoute has port ${taken.join(", ")} of ${service}, and goes before HTTPRoutes.`;
  return { ports: meant.filter((each) => !taken.includes(each)), reason: "Conflicted", message };
}

import { isService } from "../lists.ts";
import { canonicalName } from "../names.ts";
import type { Reader } from "../reader.ts";
import type { Finding } from "../view.ts";
import type { Failure, Share } from "./compiled-route.ts";
import { compileFilters, type Filter } from "./filters.ts";
import { isGranted, type Referrer } from "./grants.ts";
import { serviceView } from "./service.ts";

/** A backend as routes of both kinds name it. */
export interface BackendRef {
  group: string;
  kind: string;
  namespace?: string | undefined;
  name: string;
  port?: number | undefined;
  weight: number;
  filters?: Filter[] | undefined;
}

/** Notes something about a route. */
export type Find = (path: string, reason: string, message: string, about?: Pick<Finding, "condition" | "parent">) => void;

/** What backends are looked up for. */
export interface BackendScope {
  from: Referrer;
  /** Services, by canonical name, that the route is for: it may send their requests to them wherever they are. */
  parents: readonly string[];
  /** Path of the list: `spec.rules[0].backendRefs`. */
  at: string;
  find: Find;
}

interface Problem {
  reason: string;
  message: string;
  condition: "ResolvedRefs" | "PartiallyInvalid";
}

/** Where a rule's requests go. What a backend that cannot be called would get is answered with 500. */
export function compileBackends(reader: Reader, refs: readonly BackendRef[], scope: BackendScope): Failure | Share[] {
  const sum = refs.reduce((total, { weight }) => total + weight, 0);
  const shares = refs.map((ref, index): Share => {
    const { to, problem } = compileBackend(reader, ref, scope);
    if (problem !== undefined) {
      const { reason, message, condition } = problem;
      const effect = ref.weight === 0 ? "It gets no requests." : `${ref.weight} of ${sum} requests are answered with 500.`;
      scope.find(`${scope.at}[${index}]`, reason, `${message} ${effect}`, { condition });
    }
    return { weight: ref.weight, to };
  });
  if (sum > 0) return shares.filter(({ weight }) => weight > 0);
  const cause = refs.length === 0 ? "The rule has no backends" : "Every backend has weight 0";
  scope.find(
    scope.at,
    "NoBackends",
    `${cause}: requests are answered with 500. Name one with a weight if they are to be answered otherwise.`,
  );
  return { reason: "NoBackends" };
}

function compileBackend(reader: Reader, ref: BackendRef, scope: BackendScope): { to: Share["to"]; problem?: Problem } {
  const unresolved = (reason: string, message: string) => ({
    to: { reason },
    problem: { reason, message, condition: "ResolvedRefs" } as const,
  });
  if (!isService(ref)) {
    const kind = ref.group === "" ? ref.kind : `${ref.group}/${ref.kind}`;
    return unresolved("InvalidKind", `${ref.name} is a ${kind}; backends are Services.`);
  }
  const namespace = ref.namespace ?? scope.from.namespace;
  const service = canonicalName(namespace, ref.name);
  const isOwn = namespace === scope.from.namespace || scope.parents.includes(service);
  if (!isOwn && !isGranted(reader, scope.from, { namespace, name: ref.name })) {
    const remedy = `A ReferenceGrant in the namespace ${namespace} allows it, from ${scope.from.kind} in ${scope.from.namespace} to Service.`;
    return unresolved("RefNotPermitted", `The route may not send requests to ${service}, which is in another namespace. ${remedy}`);
  }
  const value = reader.view(serviceView, service);
  if (value === undefined) return unresolved("BackendNotFound", `There is no Service ${service}.`);
  const port = value.ports.find((each) => each.port === ref.port);
  if (port === undefined) {
    const known = value.ports.map((each) => each.port).join(", ") || "none";
    return unresolved("BackendNotFound", `${service} has no TCP port ${ref.port}; it has: ${known}.`);
  }
  const { edits, unsupported } = compileFilters(ref.filters);
  if (unsupported.length > 0) {
    const message = `Filters of type ${unsupported.join(", ")} are not supported yet.`;
    return {
      to: { reason: "UnsupportedValue" },
      problem: { reason: "UnsupportedValue", message, condition: "PartiallyInvalid" },
    };
  }
  return { to: { service, port: port.port, protocol: port.protocol, edits } };
}

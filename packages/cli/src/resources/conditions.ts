import type { ApiObject } from "@weft/client";

/** Something that a status states. */
export interface Condition {
  type: string;
  status: "True" | "False" | "Unknown";
  reason: string;
  message: string;
  lastTransitionTime: string;
  observedGeneration?: number;
}

/** A condition, and about which parent of a route it is. */
export interface Stated {
  condition: Condition;
  /** `service/users`; undefined when it is about the object as a whole. */
  parent?: string;
}

/** Says on how many proxies an object is in force. */
export const programmed = "weft.dev/Programmed";

interface WithConditions {
  conditions?: Condition[];
  parents?: {
    parentRef: { kind?: string; namespace?: string; name: string; port?: number; sectionName?: string };
    conditions?: Condition[];
  }[];
}

/** Everything that an object's status states. */
export function statedOf(object: ApiObject): Stated[] {
  const { conditions = [], parents = [] } = (object.status ?? {}) as WithConditions;
  return [
    ...conditions.map((condition) => ({ condition })),
    ...parents.flatMap(({ parentRef, conditions: about = [] }) => {
      const { kind = "Gateway", namespace, name, port, sectionName } = parentRef;
      const place = namespace === undefined || namespace === object.metadata.namespace ? name : `${namespace}/${name}`;
      const part = sectionName ?? port;
      const parent = `${kind.toLowerCase()}/${place}${part === undefined ? "" : `:${part}`}`;
      return about.map((condition) => ({ condition, parent }));
    }),
  ];
}

/** Whether a condition is about the object as it is now, not as it was before a change. */
export function isCurrent({ observedGeneration }: Condition, { metadata }: ApiObject): boolean {
  return observedGeneration === undefined || metadata.generation === undefined || observedGeneration >= metadata.generation;
}

/**
 * How an object stands, and what is said of it.
 * - `in force`: it does what it says, on every proxy that it concerns.
 * - `pending`: it is on its way.
 * - `refused`: it does not do what it says, or in part, and that stays so until somebody changes something.
 */
export interface Standing {
  state: "in force" | "pending" | "refused";
  /** One word for programs, of the condition that says so; empty while none does. */
  reason: string;
  message: string;
}

/** How an object stands; undefined for one that nothing is stated of because nothing need be. */
export function standingOf(object: ApiObject): Standing | undefined {
  if (!hasServiceParent(object)) return undefined;
  const conditions = statedOf(object)
    .map(({ condition }) => condition)
    .filter((condition) => isCurrent(condition, object));
  const of = (type: string) => conditions.filter((condition) => condition.type === type);
  const force = of(programmed);
  const bad =
    [...of("Accepted"), ...of("ResolvedRefs")].find(({ status }) => status === "False") ??
    of("PartiallyInvalid").find(({ status }) => status === "True") ??
    force.find(({ status, reason }) => status === "False" && reason === "Rejected");
  if (bad !== undefined) return { state: "refused", reason: bad.reason, message: bad.message };
  const late = [...of("Accepted"), ...force].find(({ status }) => status !== "True");
  if (late !== undefined) return { state: "pending", reason: late.reason, message: late.message };
  const [first] = force;
  if (of("Accepted").length === 0 || first === undefined)
    return { state: "pending", reason: "", message: "The controller has not looked at it yet." };
  return { state: "in force", reason: first.reason, message: first.message };
}

/** Routes say what they are for; what other kinds say needs no word of a proxy. */
function hasServiceParent({ kind, spec }: ApiObject): boolean {
  const { parentRefs = [] } = (spec ?? {}) as { parentRefs?: { kind?: string }[] };
  return ["HTTPRoute", "GRPCRoute"].includes(kind) && parentRefs.some((parent) => parent.kind === "Service");
}

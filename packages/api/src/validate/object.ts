import { kinds } from "../kinds/index.ts";
import type { Kind } from "../kinds/kind.ts";
import { nearest } from "../names.ts";
import { shown } from "../shown.ts";
import type { Fault } from "./fault.ts";
import { faultsOf } from "./issue.ts";
import { maxProblems } from "./limits.ts";
import { brokenRules } from "./rules.ts";

/** An object of one of the kinds, its defaults filled in. */
export interface Resource {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string };
}

/** What became of a value that was to be an object: the object, or what is wrong with it. */
export type Checked = { kind: Kind; object: Resource; warnings: Fault[] } | { object?: undefined; faults: Fault[] };

/** Checks a value as an object of the kind that it says it is, and fills in defaults. Fields that are null count as absent, as in Kubernetes. */
export function checkObject(value: unknown): Checked {
  const found = kindOf(value);
  if (!("schema" in found)) return { faults: [found] };
  const given = withoutNulls(value);
  const parsed = found.schema.safeParse(given);
  if (!parsed.success)
    return {
      faults: parsed.error.issues
        .slice(0, maxProblems)
        .flatMap((issue) => faultsOf(issue, found, given))
        .slice(0, maxProblems),
    };
  const broken = brokenRules(found, parsed.data);
  const faults = broken.filter((fault) => !isWarning(fault));
  return faults.length > 0
    ? { faults: faults.slice(0, maxProblems) }
    : { kind: found, object: parsed.data as unknown as Resource, warnings: broken.slice(0, maxProblems) };
}

/** Whether an object is taken in spite of a fault. */
export const isWarning = ({ code }: Pick<Fault, "code">) => code === "WEFT-R-NO-EFFECT";

function kindOf(value: unknown): Kind | Fault {
  if (!isMapping(value)) {
    const cause = `it is ${shown(value)}, and an object is needed`;
    return { code: "WEFT-R-VALUE-INVALID", path: [], at: "value", cause, remedy: "An object has apiVersion, kind and metadata" };
  }
  const { apiVersion, kind } = value;
  const known = kinds.map((each) => each.kind);
  if (kind === undefined || kind === null)
    return { code: "WEFT-R-FIELD-MISSING", path: ["kind"], at: "absent", cause: "is missing", remedy: `Kinds are ${known.join(", ")}` };
  const same = kinds.filter((each) => each.kind === kind);
  const exact = same.find((each) => each.apiVersion === apiVersion);
  if (exact !== undefined) return exact;
  const [other] = same;
  if (other === undefined) {
    const meant =
      typeof kind === "string" ? (known.find((each) => each.toLowerCase() === kind.toLowerCase()) ?? nearest(kind, known)) : undefined;
    const remedy = meant === undefined ? `Kinds are ${known.join(", ")}` : `Did you mean ${meant}?`;
    return {
      code: "WEFT-R-KIND-UNKNOWN",
      path: ["kind"],
      at: "value",
      cause: `${shown(kind)} is no kind that Weft knows`,
      remedy,
    };
  }
  const remedy = `Write apiVersion: ${other.apiVersion}`;
  if (apiVersion === undefined || apiVersion === null)
    return { code: "WEFT-R-FIELD-MISSING", path: ["apiVersion"], at: "absent", cause: "is missing", remedy };
  const cause = `${shown(apiVersion)} has no ${kind} that Weft knows`;
  return { code: "WEFT-R-KIND-UNKNOWN", path: ["apiVersion"], at: "value", cause, remedy };
}

/** Whether a value has fields. */
export const isMapping = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (!isMapping(value)) return value;
  // fromEntries makes an own field of what is called __proto__.
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, inner]) => inner !== null)
      .map(([key, inner]) => [key, withoutNulls(inner)]),
  );
}

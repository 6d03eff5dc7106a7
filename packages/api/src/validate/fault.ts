import type { ErrorCode } from "../errors.ts";
import { shortened } from "../shown.ts";

/** Steps from an object to a part of it: fields and positions in lists. */
export type Path = readonly (string | number)[];

/** What is wrong with an object, and where in it. */
export interface Fault {
  code: ErrorCode & `WEFT-R-${string}`;
  path: Path;
  /** Whether the field's name is at fault, its value, or that it is not there. */
  at: "name" | "value" | "absent";
  /** What is wrong: a sentence without its end, whose subject is the field. */
  cause: string;
  /** What to do: a sentence, without its end unless that is a question mark. */
  remedy: string;
}

/** `spec.rules[0].name`, `metadata.labels["example.com/team"]`; empty for the whole object. */
export function pathText(path: Path): string {
  return path
    .map((step) => (typeof step === "number" ? step : shortened(step)))
    .map((step) => {
      if (typeof step === "number") return `[${step}]`;
      return /^[\w-]+$/.test(step) ? `.${step}` : `[${JSON.stringify(step)}]`;
    })
    .join("")
    .replace(/^\./, "");
}

/** The same without positions, as rules and fields are named: `spec.rules[].name`. */
export const patternText = (path: Path) =>
  pathText(path.map((step) => (typeof step === "number" ? "[]" : step))).replaceAll('["[]"]', "[]");

/** What is at `path` in `value`; undefined when there is nothing. */
export function valueAt(value: unknown, path: Path): unknown {
  return path.reduce<unknown>((inner, step) => (inner as Record<string | number, unknown> | null | undefined)?.[step], value);
}

import { isDeepStrictEqual } from "node:util";
import { isMapping, type Path, pathText } from "@weft/api/kinds";

/** A part in which two values differ. */
export interface ChangedField {
  /** `spec.rules[0].backendRefs[1].weight`. */
  path: string;
  /** Undefined when it was not there. */
  before: unknown;
  /** Undefined when it is not there any more. */
  after: unknown;
}

/** The innermost parts in which two values differ. */
export function changedFields(before: unknown, after: unknown, path: Path = []): ChangedField[] {
  if (isDeepStrictEqual(before, after)) return [];
  if (isMapping(before) && isMapping(after)) {
    const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])];
    return keys.flatMap((key) => changedFields(before[key], after[key], [...path, key]));
  }
  // Items of lists that became longer or shorter need not be the same ones.
  if (Array.isArray(before) && Array.isArray(after) && before.length === after.length)
    return before.flatMap((item, index) => changedFields(item, after[index], [...path, index]));
  return [{ path: pathText(path), before, after }];
}

/** A change in words: `spec.rules[0].backendRefs[1].weight: 5 -> 50`. */
export function changeWords({ path, before, after }: ChangedField): string {
  if (before === undefined) return `${path} added${isMapping(after) || Array.isArray(after) ? "" : `: ${shown(after)}`}`;
  if (after === undefined) return `${path} removed`;
  const isPlain = [before, after].every((value) => typeof value !== "object" || value === null);
  return isPlain ? `${path}: ${shown(before)} -> ${shown(after)}` : `${path} changed`;
}

const maxShown = 80;

function shown(value: unknown): string {
  const text = typeof value === "string" ? value : (JSON.stringify(value) ?? "");
  return text.length > maxShown ? `${text.slice(0, maxShown)}…` : text;
}

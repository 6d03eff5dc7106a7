import type { z } from "zod";
import type { Kind } from "../kinds/kind.ts";
import { nearest } from "../names.ts";
import { shortened, shown } from "../shown.ts";
import { type Fault, type Path, patternText, valueAt } from "./fault.ts";
import { below, type Field, fieldsOf } from "./fields.ts";
import { maxProblems } from "./limits.ts";

type Issue = z.core.$ZodIssue;

/** What an issue of a kind's schema says, in Weft's words. */
export function faultsOf(issue: Issue, kind: Kind, object: unknown): Fault[] {
  const path = issue.path as Path;
  if (issue.code === "unrecognized_keys") return issue.keys.slice(0, maxProblems).map((key) => unknownField([...path, key], kind));
  if (valueAt(object, path) === undefined) return [missing(path, kind)];
  const { cause, remedy = explain(path, kind), code = "WEFT-R-VALUE-INVALID" } = say(issue, valueAt(object, path));
  return [{ code, path, at: "value", cause, remedy }];
}

const explain = (path: Path, kind: Kind) => {
  const place = fieldAt(path, kind).path.replaceAll("[]", "");
  return `\`weft explain ${[kind.singular, place].filter(Boolean).join(".")}\` says what it takes`;
};

/** The field that a path leads to, or the innermost one that there is on the way. */
function fieldAt(path: Path, kind: Kind): Field {
  const names = path.filter((step) => typeof step === "string");
  return names.reduce((field, name) => field.fields.find((each) => each.name === name) ?? field, fieldsOf(kind));
}

function unknownField(path: Path, kind: Kind): Fault {
  const name = String(path.at(-1));
  const parent = path.slice(0, -1);
  const removed = Object.hasOwn(kind.removed, patternText(path)) ? kind.removed[patternText(path)] : undefined;
  if (removed !== undefined)
    return { code: "WEFT-R-FIELD-REMOVED", path, at: "name", cause: "is no field of this version", remedy: removed };
  const fault = { code: "WEFT-R-FIELD-UNKNOWN", path, at: "name", cause: "there is no such field" } as const;
  const siblings = fieldAt(parent, kind).fields.map((each) => each.name);
  const meant = nearest(name, siblings);
  if (meant !== undefined) return { ...fault, remedy: `Did you mean ${meant}?` };
  const elsewhere = [...below(fieldsOf(kind))].filter((each) => each.name === name).map((each) => each.path.slice(0, -name.length - 1));
  if (elsewhere.length > 0 && elsewhere.length <= 3)
    return { ...fault, remedy: `It belongs in ${elsewhere.map((place) => place || "the object itself").join(" or ")}` };
  return { ...fault, remedy: explain(parent, kind) };
}

function missing(path: Path, kind: Kind): Fault {
  return { code: "WEFT-R-FIELD-MISSING", path, at: "absent", cause: "is missing", remedy: `Add it: ${explain(path, kind)}` };
}

interface Said {
  cause: string;
  remedy?: string;
  code?: Fault["code"];
}

function say(issue: Issue, value: unknown): Said {
  switch (issue.code) {
    case "invalid_type":
      return wrongType(issue.expected, value);
    case "invalid_value": {
      const values = issue.values.map(String);
      const meant =
        typeof value === "string"
          ? (values.find((each) => each.toLowerCase() === value.toLowerCase()) ?? nearest(value, values))
          : undefined;
      const cause = `${shown(value)} is not ${values.length === 1 ? values[0] : `one of ${values.join(", ")}`}`;
      return { cause, remedy: meant === undefined ? `Write ${values.length === 1 ? values[0] : "one of them"}` : `Did you mean ${meant}?` };
    }
    case "too_small":
      return issue.origin === "array"
        ? { cause: `it has ${count((value as unknown[]).length)}`, remedy: `It needs at least ${issue.minimum}` }
        : { cause: `${shown(value)} is too small`, remedy: `The least is ${issue.minimum}` };
    case "too_big":
      return issue.origin === "array"
        ? { cause: `it has ${count((value as unknown[]).length)}`, remedy: `At most ${issue.maximum} are allowed` }
        : { cause: `${shown(value)} is too ${issue.origin === "string" ? "long" : "great"}`, remedy: `The most is ${issue.maximum}` };
    case "custom": {
      const { cause, remedy, duplicate } = (issue.params ?? {}) as { cause?: string; remedy?: string; duplicate?: boolean };
      return { cause: cause ?? issue.message, remedy, ...(duplicate ? { code: "WEFT-R-DUPLICATE" } : {}) };
    }
    default:
      return { cause: `${shown(value)} ${issue.message}` };
  }
}

const names: Record<string, string> = {
  string: "a text",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  array: "a list",
  object: "a mapping",
  record: "a mapping",
};

function wrongType(expected: string, value: unknown): Said {
  const cause = `it is ${shown(value)}, and ${names[expected] ?? expected} is needed`;
  if (expected === "string" && typeof value !== "object") return { cause, remedy: `Put it in quotes: "${shortened(String(value))}"` };
  if (["number", "int", "boolean"].includes(expected) && isQuoted(expected, value)) return { cause, remedy: "Write it without quotes" };
  if (expected === "array") return { cause, remedy: "Begin each item with a hyphen" };
  return { cause };
}

const isQuoted = (expected: string, value: unknown) =>
  typeof value === "string" && (expected === "boolean" ? /^(true|false)$/.test(value) : /^-?[0-9]+$/.test(value));

const count = (items: number) => (items === 1 ? "one item" : `${items === 0 ? "no" : items} items`);

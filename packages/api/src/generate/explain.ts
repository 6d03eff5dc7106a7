import type { Kind } from "../kinds/kind.ts";
import { type Field, fieldsOf } from "../validate/fields.ts";
import type { JsonSchema } from "./json-schema.ts";

/** What there is to say of a field, or of a whole kind. */
export interface Explanation {
  kind: string;
  apiVersion: string;
  /** `spec.rules[].name`; empty for the whole kind. */
  path: string;
  /** `string`, `[]object`. */
  type: string;
  description: string;
  required: boolean;
  /** What the type does not say, a sentence each: values, bounds, the default. */
  bounds: string[];
  /** What is refused though each value is fine by itself. */
  refused: string[];
  /** Fields of it. */
  fields: Omit<Explanation, "kind" | "apiVersion" | "fields" | "refused">[];
}

/** Explains a kind's field, whose names are `path`; or tells which name of it is none, and which there are. */
export function explain(kind: Kind, path: readonly string[]): Explanation | { unknown: string; within: string; known: string[] } {
  let field = fieldsOf(kind);
  for (const name of path) {
    const next = field.fields.find((each) => each.name === name);
    if (next === undefined) return { unknown: name, within: field.path, known: field.fields.map((each) => each.name) };
    field = next;
  }
  const { kind: name, apiVersion } = kind;
  return { kind: name, apiVersion, ...about(field), refused: refusedAt(kind, field), fields: field.fields.map(about) };
}

/** What a kind's rules refuse at a field or its items. */
export function refusedAt(kind: Kind, { path }: Pick<Field, "path">): string[] {
  const here = kind.rules.filter(({ at, warning }) => !warning && at.replace(/(\[\])+$/, "") === path);
  return [...new Set(here.map(({ cause }) => cause))];
}

/** A field without those below it. */
export function about({ path, schema, required, fields }: Field) {
  const isWhole = path === "";
  return {
    path,
    type: typeText(schema),
    description: schema.description ?? "",
    required: required && !isWhole,
    bounds: isWhole ? [] : bounds(schema, fields),
  };
}

/** `string`, `[]object`, `map[string]string`, `integer or string`. */
function typeText({ type, items, additionalProperties, anyOf, const: value, enum: values }: JsonSchema): string {
  if (anyOf !== undefined) return [...new Set(anyOf.map(typeText))].join(" or ");
  if (items !== undefined) return `[]${typeText(items)}`;
  if (typeof additionalProperties === "object") return `map[string]${typeText(additionalProperties)}`;
  return type ?? (value === undefined && values === undefined ? "any" : typeof (value ?? values?.[0]) === "number" ? "integer" : "string");
}

function bounds(schema: JsonSchema, fields: Field[]): string[] {
  const said: string[] = [];
  const values = schema.enum ?? schema.items?.enum;
  if (schema.const !== undefined) said.push(`Always ${schema.const}.`);
  if (values !== undefined) said.push(`One of ${values.join(", ")}.`);
  if (schema.type === "integer") said.push(range(schema.minimum, schema.maximum));
  if (schema.maxItems !== undefined || schema.minItems !== undefined) said.push(countText(schema));
  // The default of a mapping is what its fields' defaults say.
  if (schema.default !== undefined && (fields.length === 0 || Array.isArray(schema.default)))
    said.push(`Default: ${JSON.stringify(schema.default)}.`);
  return said.filter((each) => each !== "");
}

function countText({ minItems, maxItems }: JsonSchema): string {
  if (maxItems === undefined) return `At least ${minItems} items.`;
  return minItems === undefined ? `At most ${maxItems} items.` : `${minItems} to ${maxItems} items.`;
}

function range(minimum = Number.MIN_SAFE_INTEGER, maximum = Number.MAX_SAFE_INTEGER): string {
  const isOpen = maximum >= 2 ** 31 - 1;
  if (minimum <= -(2 ** 31)) return isOpen ? "" : `At most ${maximum}.`;
  return isOpen ? `At least ${minimum}.` : `${minimum} to ${maximum}.`;
}

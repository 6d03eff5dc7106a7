import { type JsonSchema, jsonSchema } from "../generate/json-schema.ts";
import type { Kind } from "../kinds/kind.ts";

/** A field of a kind, as its schema knows it. */
export interface Field {
  /** Its name; the kind's for the whole object. */
  name: string;
  /** `spec.rules[].name`; empty for the whole object. */
  path: string;
  schema: JsonSchema;
  required: boolean;
  /** Fields of it, or of its items. */
  fields: Field[];
}

const trees = new WeakMap<Kind, Field>();

/** The fields of a kind, as a tree. */
export function fieldsOf(kind: Kind): Field {
  const known = trees.get(kind);
  if (known !== undefined) return known;
  const tree = field(kind.kind, "", jsonSchema(kind), true);
  trees.set(kind, tree);
  return tree;
}

function field(name: string, path: string, schema: JsonSchema, required: boolean): Field {
  let inner = schema;
  let at = path;
  while (inner.items !== undefined) {
    inner = inner.items;
    at = `${at}[]`;
  }
  const fields = Object.entries(inner.properties ?? {}).map(([key, property]) =>
    field(key, at === "" ? key : `${at}.${key}`, property, inner.required?.includes(key) ?? false),
  );
  return { name, path, schema, required, fields };
}

/** All fields below one, outermost first. */
export function* below(parent: Field): Generator<Field> {
  yield* parent.fields;
  for (const each of parent.fields) yield* below(each);
}

import { z } from "zod";
import type { Kind } from "../kinds/kind.ts";

/** As much of JSON Schema as kinds use. */
export interface JsonSchema {
  type?: string;
  description?: string;
  default?: unknown;
  enum?: unknown[];
  const?: unknown;
  pattern?: string;
  format?: string;
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  minItems?: number;
  maxItems?: number;
  items?: JsonSchema;
  properties?: Record<string, JsonSchema>;
  required?: string[];
  additionalProperties?: boolean | JsonSchema;
  anyOf?: JsonSchema[];
  [extension: `x-kubernetes-${string}`]: unknown;
}

/** What people may write of a kind, as JSON Schema (draft 2020-12). */
export function jsonSchema(kind: Kind): JsonSchema {
  const { $schema: _, ...schema } = z.toJSONSchema(kind.schema, { io: "input", reused: "inline" });
  return schema as JsonSchema;
}

/** One schema for editors, in which a document's apiVersion and kind choose what holds for the rest. */
export function editorSchema(kinds: readonly Kind[]): object {
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "Resources of Weft",
    type: "object",
    required: ["apiVersion", "kind"],
    properties: {
      apiVersion: { enum: [...new Set(kinds.map(({ apiVersion }) => apiVersion))] },
      kind: { enum: kinds.map(({ kind }) => kind) },
    },
    allOf: kinds.map(({ kind }) => ({
      if: { required: ["kind"], properties: { kind: { const: kind } } },
      // biome-ignore lint/suspicious/noThenProperty: JSON Schema calls it so.
      then: { $ref: `#/$defs/${kind}` },
    })),
    $defs: Object.fromEntries(kinds.map((kind) => [kind.kind, jsonSchema(kind)])),
  };
}

import { z } from "zod";
import { conditionsSchema } from "./common/conditions.ts";
import { metadataSchema, type NameForm } from "./common/metadata.ts";

/** Something that must hold beyond a field's own type. One table of them a kind: asked here, and by API servers that have the kind's CRD. */
export interface Rule {
  /** What it is asked of: a path with `[]` for every item of a list, such as `spec.rules[].filters[]`; empty for the whole object. */
  at: string;
  /** Field of it at which the problem is shown; without one, the thing itself. */
  field?: string;
  /** What is wrong when it does not hold: a sentence without its end. */
  cause: string;
  /** What to do then: a sentence without its end. */
  remedy: string;
  /** Objects that break it are taken, and people are warned: they do not do what they seem to. */
  warning?: boolean;
  /** The same in CEL, for the CRD; warnings, and kinds whose CRD is somebody else's, need none. */
  cel?: string;
  /** Whether it holds of a value in an object, whose fields are known, of the right type, and filled in by their defaults. */
  holds(value: unknown, object: unknown): boolean;
}

/** Writes a rule whose `holds` knows the types of what it is asked of and of the object. */
export function rule<Value, Whole = unknown>(
  at: string,
  rule: Omit<Rule, "at" | "holds"> & { holds: (value: Value, object: Whole) => boolean },
): Rule {
  return { at, ...rule, holds: rule.holds as Rule["holds"] };
}

/** What a kind is called. */
export interface KindNames {
  /** API group; empty for Kubernetes' core. */
  group: string;
  version: string;
  /** `HTTPRoute`. */
  kind: string;
  /** `httproutes`. */
  plural: string;
  /** `httproute`. */
  singular: string;
  /** What else people may call it. */
  shortNames: readonly string[];
  /** Whether objects live in a namespace; others belong to the whole mesh. */
  namespaced: boolean;
}

/** A kind of resource, from which come its type, validation, defaults, JSON Schema, CRD, reference page and `weft explain`. */
export interface Kind extends KindNames {
  /** `gateway.networking.k8s.io/v1`, as documents say it. */
  apiVersion: string;
  /** What it is for, in a few sentences. */
  description: string;
  /** Objects are written by the controller alone. */
  readOnly: boolean;
  /** The whole object. Its input type is what people write, its output what is left once defaults are filled in. */
  schema: z.ZodObject;
  rules: readonly Rule[];
  /** Fields that other versions or channels of the kind have, by path, and what to do instead: a sentence without its end. */
  removed: Readonly<Record<string, string>>;
}

/** Whether a kind's CRD is Weft's own. */
export const isOwn = ({ group }: Pick<KindNames, "group">) => group === "weft.dev";

/** Defines a kind by its own fields: those beside apiVersion, kind and metadata. */
export function defineKind<Fields extends z.ZodRawShape>(
  definition: KindNames & {
    description: string;
    readOnly?: boolean;
    /** What names of its objects must be; default: a DNS subdomain. */
    nameForm?: NameForm;
    fields: Fields;
    rules?: readonly Rule[];
    removed?: Record<string, string>;
  },
) {
  const { fields, nameForm = "subdomain", rules = [], removed = {}, readOnly = false, ...rest } = definition;
  const { group, version, kind, namespaced, description } = rest;
  const apiVersion = group === "" ? version : `${group}/${version}`;
  const schema = z
    .strictObject({
      apiVersion: z.literal(apiVersion).describe("API group and version in which this document is written."),
      kind: z.literal(kind).describe("What is described."),
      metadata: metadataSchema(nameForm, namespaced),
      ...fields,
    })
    .describe(description);
  return { ...rest, apiVersion, readOnly, schema, rules, removed };
}

/** `status` with nothing but conditions. */
export const plainStatus = z
  .strictObject({ conditions: conditionsSchema.optional() })
  .optional()
  .describe("What came of it. The controller writes it.");

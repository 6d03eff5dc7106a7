import type { Kind, Rule } from "../kinds/kind.ts";
import { type JsonSchema, jsonSchema } from "./json-schema.ts";

/** The CustomResourceDefinition by which a Kubernetes API server takes a kind. */
export function crd(kind: Kind): object {
  const { group, version, kind: name, plural, singular, shortNames, namespaced } = kind;
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${plural}.${group}` },
    spec: {
      group,
      names: {
        kind: name,
        listKind: `${name}List`,
        plural,
        singular,
        ...(shortNames.length > 0 ? { shortNames } : {}),
        categories: ["weft"],
      },
      scope: namespaced ? "Namespaced" : "Cluster",
      versions: [
        { name: version, served: true, storage: true, subresources: { status: {} }, schema: { openAPIV3Schema: structural(kind) } },
      ],
    },
  };
}

/** A kind's schema in the form that CRDs are held to: unknown fields are pruned, and metadata, apiVersion and kind are the server's. */
function structural(kind: Kind): JsonSchema {
  const { properties = {}, ...schema } = jsonSchema(kind);
  const text = { type: "string" };
  const own = Object.fromEntries(Object.entries(properties).filter(([name]) => !["apiVersion", "kind", "metadata"].includes(name)));
  const whole = pruned({ ...schema, properties: own });
  whole.properties = { apiVersion: text, kind: text, metadata: { type: "object", properties: { name: text } }, ...whole.properties };
  whole.required = whole.required?.filter((name) => name in own);
  if (whole.required?.length === 0) delete whole.required;
  for (const rule of kind.rules) if (!rule.warning) addRule(whole, rule);
  return whole;
}

function pruned({ additionalProperties, ...schema }: JsonSchema): JsonSchema {
  return {
    ...schema,
    ...(typeof additionalProperties === "object" ? { additionalProperties: pruned(additionalProperties) } : {}),
    ...(schema.items ? { items: pruned(schema.items) } : {}),
    ...(schema.properties
      ? { properties: Object.fromEntries(Object.entries(schema.properties).map(([name, property]) => [name, pruned(property)])) }
      : {}),
  };
}

function addRule(schema: JsonSchema, { at, field, cause, remedy, cel }: Rule): void {
  if (cel === undefined) throw new Error(`a rule of a CRD needs CEL: ${at}: ${cause}`);
  const steps = at === "" ? [] : at.replaceAll("[]", ".[]").split(".");
  const place = steps.reduce((inner, step) => (step === "[]" ? inner.items : inner.properties?.[step]) as JsonSchema, schema);
  const rules = (place["x-kubernetes-validations"] ?? []) as object[];
  const added = { rule: cel, message: `${cause}. ${remedy}.`, ...(field === undefined ? {} : { fieldPath: `.${field}` }) };
  place["x-kubernetes-validations"] = [...rules, added];
}

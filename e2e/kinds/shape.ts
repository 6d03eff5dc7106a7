// What a schema says of each field, but for words and patterns, in a form in which two of them can be compared.

/** As much of a schema of OpenAPI or JSON Schema as is compared. */
export interface Schema {
  type?: string;
  format?: string;
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  anyOf?: Schema[];
  const?: unknown;
  additionalProperties?: boolean | Schema;
  enum?: unknown[];
  default?: unknown;
  pattern?: string;
  minLength?: number;
  maxLength?: number;
  minimum?: number;
  maximum?: number;
  minItems?: number;
  maxItems?: number;
  [extension: `x-kubernetes-${string}`]: unknown;
}

/** By path, with `[]` for items. */
export function shapeOf(schema: Schema, path = ""): Record<string, object> {
  const { type, format, properties = {}, required = [], items, minLength = 0, minItems = 0, maximum, default: value } = schema;
  const most = format === "int32" ? (maximum ?? 2 ** 31 - 1) : maximum;
  const here = {
    type: type ?? typeof schema.enum?.[0],
    required: required.toSorted(),
    enum: schema.enum?.toSorted(),
    default: value,
    bounds: type === "integer" && !schema.enum ? [schema.minimum, most === 2 ** 53 - 1 ? undefined : most] : undefined,
    length: [minLength, schema.maxLength],
    count: [minItems, schema.maxItems],
    list: [schema["x-kubernetes-list-type"], schema["x-kubernetes-list-map-keys"]],
  };
  const inner = Object.entries(properties).map(([name, property]) => shapeOf(property, path === "" ? name : `${path}.${name}`));
  return Object.assign({ [path]: here }, ...inner, items ? shapeOf(items, `${path}[]`) : {});
}

/** Messages of every rule in CEL. */
export function messagesOf(schema: Schema): string[] {
  const own = ((schema["x-kubernetes-validations"] ?? []) as { message: string }[]).map(({ message }) => message);
  return [...own, ...Object.values(schema.properties ?? {}).flatMap(messagesOf), ...(schema.items ? messagesOf(schema.items) : [])];
}

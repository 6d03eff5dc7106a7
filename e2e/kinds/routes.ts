import fc from "fast-check";
import type { Schema } from "./shape.ts";

// Routes by chance from the schema that Gateway API publishes: every field of it comes up, values mostly fit, and now and then one does not.

/** Texts of which some fit every field, and some hardly any. */
const texts = [
  ..."a users users.example.com *.example.com Users_1 -a a. gateway.networking.k8s.io Service Gateway svc x-version X-Version users.v1.Users Get .a".split(
    " ",
  ),
  ..."10s 1m30s 0s 500ms 2h 99999h 100000h 1.5s 10 http https://example.com http://*.example.com:8080 https://* * / /a /users/ /a/../b //a /a/./b".split(
    " ",
  ),
  ..."/a/.. /a%2fb /a%2Fb /%7euser /%zz /a#b /a? /é ReplaceFullPath http:// a/b users.v1/Users ..a".split(" "),
  ...[
    "",
    " ",
    "/a b",
    "ünï",
    "🦊🦊",
    "a".repeat(63),
    "a".repeat(64),
    "a".repeat(253),
    "a".repeat(254),
    `/${"a".repeat(1023)}`,
    "🦊".repeat(1024),
    "🦊".repeat(1025),
  ],
];

const wrong = fc.constantFrom<unknown>("x", "", 0, 7, 1.5, true, null, [], {}, [null], 2 ** 31, -1);

/** Now and then something of another type. */
const mostly = (value: fc.Arbitrary<unknown>, weight = 400) => fc.oneof({ weight, arbitrary: value }, { weight: 1, arbitrary: wrong });

const fits = ({ pattern, minLength = 0, maxLength = Number.POSITIVE_INFINITY }: Schema, text: string) => {
  const { length } = [...text];
  return length >= minLength && length <= maxLength && (pattern === undefined || new RegExp(pattern).test(text));
};

function value(schema: Schema): fc.Arbitrary<unknown> {
  if (schema.enum)
    return mostly(
      fc.oneof({ weight: 60, arbitrary: fc.constantFrom(...schema.enum) }, { weight: 1, arbitrary: fc.constantFrom(...texts) }),
    );
  switch (schema.type) {
    case "object":
      return mostly(object(schema));
    case "array":
      return mostly(list(schema));
    case "integer": {
      const { minimum = -5, maximum = 2 ** 31 - 1 } = schema;
      const within = fc.oneof(fc.integer({ min: minimum, max: maximum }), fc.constantFrom(minimum, maximum));
      return mostly(fc.oneof({ weight: 60, arbitrary: within }, { weight: 1, arbitrary: fc.constantFrom(minimum - 1, maximum + 1) }), 100);
    }
    case "boolean":
      return mostly(fc.boolean());
    default: {
      const fitting = texts.filter((text) => fits(schema, text));
      if (fitting.length === 0) throw new Error(`no text fits ${JSON.stringify(schema)}`);
      return mostly(fc.oneof({ weight: 60, arbitrary: fc.constantFrom(...fitting) }, { weight: 1, arbitrary: fc.constantFrom(...texts) }));
    }
  }
}

function list({ items, minItems = 0, maxItems = 20 }: Schema): fc.Arbitrary<unknown> {
  const item = value(items as Schema);
  const few = fc.array(item, { minLength: minItems, maxLength: Math.min(2, maxItems) });
  // As few times as it takes to see that too many are refused.
  return fc.oneof(
    { weight: 300, arbitrary: few },
    { weight: 1, arbitrary: fc.array(fc.constant({}), { minLength: maxItems + 1, maxLength: maxItems + 1 }) },
  );
}

function object({ properties = {}, required = [] }: Schema): fc.Arbitrary<unknown> {
  const fields = Object.fromEntries(Object.entries(properties).map(([name, schema]) => [name, value(schema)]));
  const whole = fc.record(fields, { requiredKeys: required });
  const union = Array.isArray(properties.type?.enum) ? whole.chain((made) => fitting(made, properties)) : whole;
  const lacking = fc.record(fields, { requiredKeys: [] });
  const unknown = whole.map((made) => ({ ...made, surprise: 1 }));
  return fc.oneof({ weight: 400, arbitrary: union }, { weight: 1, arbitrary: lacking }, { weight: 1, arbitrary: unknown });
}

/** Of an object whose type names one of its fields, mostly just that field. */
function fitting(made: Record<string, unknown>, properties: Record<string, Schema>): fc.Arbitrary<unknown> {
  const nameOf = (type: string) => Object.keys(properties).find((name) => name.toLowerCase() === type.toLowerCase());
  const members = new Set((properties.type?.enum ?? []).flatMap((type) => nameOf(String(type)) ?? []));
  const meant = nameOf(String(made.type));
  if (members.size === 0 || meant === undefined) return fc.constant(made);
  const others = Object.fromEntries(Object.entries(made).filter(([name]) => !members.has(name)));
  const just = value(properties[meant] as Schema).map((member) => ({ ...others, [meant]: member }));
  return fc.oneof({ weight: 40, arbitrary: just }, { weight: 1, arbitrary: fc.constant(made) });
}

/** Routes of a kind, whose whole schema is given. */
export function routes(kind: string, { properties = {} }: Schema): fc.Arbitrary<object> {
  const name = fc.oneof(
    { weight: 60, arbitrary: fc.constantFrom("a", "users.v1") },
    { weight: 1, arbitrary: fc.constantFrom("A", "a_b", "") },
  );
  const route = {
    apiVersion: fc.constant("gateway.networking.k8s.io/v1"),
    kind: fc.constant(kind),
    metadata: fc.record({ name, namespace: fc.constant("default") }),
    spec: value(properties.spec as Schema),
  };
  return fc.oneof(
    { weight: 4, arbitrary: fc.record(route) },
    { weight: 1, arbitrary: fc.record({ ...route, status: value(properties.status as Schema) }) },
  );
}

/** Routes with two filters of each type that lack what they are about, in rules and in backends. */
export function emptyFilters(kind: string, schema: Schema): object[] {
  const rule = schema.properties?.spec?.properties?.rules?.items;
  const types = rule?.properties?.filters?.items?.properties?.type?.enum ?? [];
  const rules = types.flatMap((type) => {
    const filters = [{ type }, { type }];
    return [{ filters }, { backendRefs: [{ name: "a", port: 80, filters }] }];
  });
  return rules.map((rule) => ({
    apiVersion: "gateway.networking.k8s.io/v1",
    kind,
    metadata: { name: "a", namespace: "default" },
    spec: { rules: [rule] },
  }));
}

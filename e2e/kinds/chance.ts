import fc from "fast-check";
import type { Schema } from "./shape.ts";

// Documents by chance from a schema: every field of it comes up, values mostly fit, and now and then one does not.

/** Texts of which some fit every field, and some hardly any. */
const texts = [
  ..."a users users.example.com *.example.com Users_1 -a a. gateway.networking.k8s.io Service Gateway svc x-version X-Version users.v1.Users Get .a".split(
    " ",
  ),
  ..."10s 1m30s 0s 500ms 2h 99999h 100000h 1.5s 10 http https://example.com http://*.example.com:8080 https://* * / /a /users/ /a/../b //a /a/./b".split(
    " ",
  ),
  ..."/a/.. /a%2fb /a%2Fb /%7euser /%zz /a#b /a? /é ReplaceFullPath http:// a/b users.v1/Users ..a".split(" "),
  ..."10.0.0.1 10.0.0.2 127.0.0.1 169.254.1.1 0.0.0.0 224.0.0.1 010.0.0.1 fd00::1 ::1 fe80::1 ff02::1 :: ::ffff:10.0.0.1 10.0.0.0/8 10.0.0.1/8".split(
    " ",
  ),
  ..."fd00::/8 10.0.0.0/33 None IPv4 http-1 a--b 2026-11-02T09:30:00Z 2026-11-02T09:30:00+01:00 example.com/lb Example.com/LB True".split(
    " ",
  ),
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

const wrong = fc.constantFrom<unknown>("x", 0, 7, 1.5, true, null, [], {}, [null], 2 ** 31, -1);

/** Now and then something of another type. */
const mostly = (value: fc.Arbitrary<unknown>, weight = 400) => fc.oneof({ weight, arbitrary: value }, { weight: 1, arbitrary: wrong });

const fits = ({ pattern, minLength = 0, maxLength = Number.POSITIVE_INFINITY }: Schema, text: string) => {
  const { length } = [...text];
  return length >= minLength && length <= maxLength && (pattern === undefined || new RegExp(pattern).test(text));
};

function value(schema: Schema): fc.Arbitrary<unknown> {
  if (schema.anyOf) return fc.oneof(...schema.anyOf.map(value));
  if (schema.const !== undefined) return mostly(fc.constant(schema.const));
  if (typeof schema.additionalProperties === "object") {
    const inner = value(schema.additionalProperties);
    return mostly(fc.dictionary(fc.constantFrom("team", "example.com/team"), inner, { maxKeys: 2 }));
  }
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
  // Of many fields only a few: else hardly any object would keep their rules.
  const optional = Object.keys(fields).filter((name) => !required.includes(name));
  const few = fc.subarray(optional, { maxLength: Math.min(optional.length, 3) });
  const whole =
    optional.length <= 10
      ? fc.record(fields, { requiredKeys: required })
      : few.chain((chosen) =>
          fc.record(Object.fromEntries([...required, ...chosen].map((name) => [name, fields[name] as fc.Arbitrary<unknown>]))),
        );
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

/** Documents of a kind, whose whole schema is given. */
export function documentsBySchema(apiVersion: string, kind: string, { properties = {}, required = [] }: Schema): fc.Arbitrary<object> {
  const name = fc.oneof(
    { weight: 60, arbitrary: fc.constantFrom("a", "users-1") },
    { weight: 1, arbitrary: fc.constantFrom("A", "a_b", "") },
  );
  const { apiVersion: _version, kind: _kind, metadata: _metadata, status, ...own } = properties;
  const fields = object({ type: "object", properties: own, required: required.filter((field) => field in own) }) as fc.Arbitrary<object>;
  const document = fc
    .record({ metadata: fc.record({ name, namespace: fc.constant("default") }), fields })
    .map(({ metadata, fields }) => ({ apiVersion, kind, metadata, ...fields }));
  if (status === undefined) return document;
  const withStatus = fc.tuple(document, value(status)).map(([rest, made]) => ({ ...rest, status: made }));
  return fc.oneof({ weight: 4, arbitrary: document }, { weight: 1, arbitrary: withStatus });
}

/** The least that a schema takes. */
function least({ type, properties = {}, required = [] }: Schema): unknown {
  if (type !== "object") return type === "integer" ? 1 : "a";
  return Object.fromEntries(required.map((name) => [name, least(properties[name] as Schema)]));
}

/** Routes with filters of each type that lack what they are about, that are there twice, and that have what others are about; in rules and in backends. */
export function brokenFilters(kind: string, schema: Schema): object[] {
  const rule = schema.properties?.spec?.properties?.rules?.items;
  const { type, ...members } = rule?.properties?.filters?.items?.properties ?? {};
  const all = Object.fromEntries(Object.entries(members).map(([name, member]) => [name, least(member)]));
  const rules = (type?.enum ?? []).flatMap((each) => {
    const filters = [{ type: each }, { type: each }, { type: each, ...all }];
    return [{ filters }, { backendRefs: [{ name: "a", port: 80, filters }] }];
  });
  return rules.map((rule) => ({
    apiVersion: "gateway.networking.k8s.io/v1",
    kind,
    metadata: { name: "a", namespace: "default" },
    spec: { rules: [rule] },
  }));
}

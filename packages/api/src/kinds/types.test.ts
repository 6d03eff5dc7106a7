import assert from "node:assert/strict";
import { test } from "node:test";
import { parse } from "yaml";
import { z } from "zod";
import { documentsOf } from "../generate/files.ts";
import { editorSchema, jsonSchema } from "../generate/json-schema.ts";
import { checkObject } from "../validate/object.ts";
import type { HttpRoute } from "./http-route/index.ts";
import { kinds } from "./index.ts";
import type { Mesh } from "./mesh/index.ts";

test("types follow from schemas: what has a default is there, what has none may be missing", () => {
  const { object } = checkObject({ apiVersion: "weft.dev/v1alpha1", kind: "Mesh", metadata: { name: "default" } });
  const trustDomain: string = (object as Mesh).spec.trustDomain;
  assert.equal(trustDomain, "weft.local");
  // @ts-expect-error: were it any, this would be taken.
  const none: number = (object as Mesh).spec.trustDomain;
  assert.equal(none, trustDomain);
  const route = checkObject({ apiVersion: "gateway.networking.k8s.io/v1", kind: "HTTPRoute", metadata: { name: "a" }, spec: {} })
    .object as HttpRoute;
  const paths: ("Exact" | "PathPrefix" | "RegularExpression")[] = route.spec.rules.flatMap(({ matches }) =>
    matches.map(({ path }) => path.type),
  );
  assert.deepEqual(paths, ["PathPrefix"]);
  const hostnames: string[] | undefined = route.spec.hostnames;
  assert.equal(hostnames, undefined);
});

test("the JSON Schema for editors takes examples, and no field that there is not", () => {
  const { allOf, $defs } = editorSchema(kinds) as { allOf: { then: { $ref: string } }[]; $defs: Record<string, object> };
  assert.deepEqual(
    allOf.map(({ then }) => then.$ref),
    Object.keys($defs).map((name) => `#/$defs/${name}`),
  );
  for (const kind of kinds) {
    const schema = z.fromJSONSchema(jsonSchema(kind) as z.core.JSONSchema.JSONSchema);
    for (const { name, text } of documentsOf(kind, "examples")) {
      const example = parse(text);
      assert.ok(schema.safeParse(example).success, `${kind.kind}: ${name}`);
      assert.ok(!schema.safeParse({ ...example, surprise: 1 }).success, `${kind.kind}: ${name}`);
    }
  }
});

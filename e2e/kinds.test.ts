import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { type TestContext, test } from "node:test";
import { below, checkObject, fieldsOf, jsonSchema, type Kind, kinds, pathText } from "@weft/api/kinds";
import { need, root, succeed } from "@weft/testkit";
import fc from "fast-check";
import { parse } from "yaml";
import { documentsOf } from "../packages/api/src/generate/files.ts";
import { brokenFilters, documentsBySchema } from "./kinds/chance.ts";
import { messagesOf, type Schema, shapeOf } from "./kinds/shape.ts";
import { gatewayApiCrds, kubernetesPart } from "./matrix/parts.ts";

// What a Kubernetes API server takes and refuses, Weft takes and refuses: both judge the same objects, and fill in the same defaults. The judge is the
// API server's own code, with the CRDs that Gateway API publishes and those that Weft makes of its kinds.

const seed = Number(process.env.WEFT_SEED ?? 1);

interface Verdict {
  problems: { path: string; message: string }[];
  object: unknown;
}

const ownCrds = kinds
  .filter(({ group }) => group === "weft.dev")
  .map(({ plural, group }) => join(root, "deploy/crds", `${plural}.${group}.yaml`));

/** Kinds without a CRD: the judge says nothing of their defaults. */
const core = kinds.filter(({ group }) => ["", "discovery.k8s.io"].includes(group));

async function judge(t: TestContext, objects: unknown[]): Promise<Verdict[] | undefined> {
  const parts = need(t, "go");
  if (parts === undefined) return undefined;
  const program = await kubernetesPart(parts.go);
  const crds = [...(await gatewayApiCrds(parts.go, "httproutes", "grpcroutes", "referencegrants")), ...ownCrds];
  const child = spawn(program, crds, { stdio: ["pipe", "pipe", "inherit"] });
  child.stdin.end(objects.map((object) => `${JSON.stringify(object)}\n`).join(""));
  const [output, [code]] = await Promise.all([text(child.stdout), once(child, "close")]);
  assert.equal(code, 0);
  const verdicts = output
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Verdict);
  assert.equal(verdicts.length, objects.length);
  return verdicts;
}

/** What both say of objects must be the same; `isDefaulted`: what is left of those that are taken, too. */
async function judgedAlike(t: TestContext, objects: object[], isDefaulted: boolean): Promise<Verdict[]> {
  const verdicts = (await judge(t, objects)) ?? [];
  const taken = verdicts.filter(({ problems }) => problems.length === 0).length;
  t.diagnostic(`${taken} of ${verdicts.length} are taken`);
  assert.ok(taken > 100 && verdicts.length - taken > 100, "chance makes many of both");
  for (const [index, { problems, object }] of verdicts.entries()) {
    const checked = checkObject(objects[index]);
    const shown = () =>
      JSON.stringify({ object: objects[index], server: problems, weft: "faults" in checked ? checked.faults : [] }, undefined, 1);
    assert.equal(checked.object !== undefined, problems.length === 0, shown());
    if (isDefaulted && checked.object !== undefined) assert.deepEqual(checked.object, object, shown());
  }
  return verdicts;
}

/** Whether Weft refuses on purpose what Kubernetes takes: null for an item, which stands for an empty one there, and what is out of bounds and ignored. */
function isStricter(object: { spec?: { sessionAffinity?: unknown; sessionAffinityConfig?: unknown } }): boolean {
  const { sessionAffinity, sessionAffinityConfig } = object.spec ?? {};
  return /[[,]null/.test(JSON.stringify(object)) || (sessionAffinityConfig !== undefined && sessionAffinity !== "ClientIP");
}

/** What commands do before they send an object: without a namespace it is in theirs. */
function placed(kind: Kind, value: Record<string, object>): Record<string, object> {
  return kind.namespaced ? { ...value, metadata: { namespace: "default", ...value.metadata } } : value;
}

const documents = (folder: "examples" | "refused") =>
  kinds.flatMap((kind) =>
    documentsOf(kind, folder).map(({ name, text }) => ({ kind, name, value: placed(kind, parse(text, { version: "1.1" })) })),
  );

test("what examples say is taken by an API server, which fills in the same defaults", { timeout: 1_000_000 }, async (t) => {
  const examples = documents("examples");
  const verdicts = await judge(
    t,
    examples.map(({ value }) => value),
  );
  for (const [index, verdict] of (verdicts ?? []).entries()) {
    const { kind, name, value } = examples[index] as (typeof examples)[number];
    assert.deepEqual(verdict.problems, [], name);
    if (!core.includes(kind)) assert.deepEqual(checkObject(value).object, verdict.object, name);
  }
});

test("what is refused here is refused by an API server, and by Weft's CRDs at the same path", { timeout: 1_000_000 }, async (t) => {
  const refused = documents("refused");
  const verdicts = await judge(
    t,
    refused.map(({ value }) => value),
  );
  for (const [index, { problems }] of (verdicts ?? []).entries()) {
    const { kind, name, value } = refused[index] as (typeof refused)[number];
    assert.ok(problems.length > 0, `${kind.kind}: ${name} is taken`);
    const checked = checkObject(value);
    if (kind.group !== "weft.dev" || checked.object !== undefined) continue;
    const paths = problems.map(({ path }) => path);
    for (const fault of checked.faults) assert.ok(paths.includes(pathText(fault.path)), `${kind.kind}: ${name}: ${paths}`);
  }
});

for (const [kind, plural] of [
  ["HTTPRoute", "httproutes"],
  ["GRPCRoute", "grpcroutes"],
  ["ReferenceGrant", "referencegrants"],
] as const) {
  const published = async (go: string): Promise<Schema> => {
    const [path = ""] = await gatewayApiCrds(go, plural);
    const crd = parse(readFileSync(path, "utf8"));
    return crd.spec.versions.find((version: { name: string }) => version.name === "v1").schema.openAPIV3Schema;
  };

  test(`${kind}s have the fields, types, bounds and defaults of the published CRD`, { timeout: 1_000_000 }, async (t) => {
    const parts = need(t, "go");
    if (parts === undefined) return;
    const theirs = (await published(parts.go)).properties ?? {};
    const ours = (jsonSchema(kinds.find((each) => each.kind === kind) as Kind) as Schema).properties ?? {};
    for (const field of ["spec", "status"]) assert.deepEqual(shapeOf(ours[field] ?? {}), shapeOf(theirs[field] ?? {}), field);
  });

  test(`${kind}s made by chance from the published CRD are judged alike`, { timeout: 1_000_000 }, async (t) => {
    const parts = need(t, "go");
    if (parts === undefined) return;
    const schema = await published(parts.go);
    const byChance = fc.sample(documentsBySchema(`gateway.networking.k8s.io/v1`, kind, schema), { numRuns: 800, seed });
    const objects = [...byChance, ...brokenFilters(kind, schema)];
    const verdicts = await judgedAlike(t, objects, true);
    // Whatever chance made, these break every rule.
    const broken = verdicts.slice(byChance.length);
    const refused = await judge(
      t,
      documents("refused").map(({ value }) => value),
    );
    const said = [...broken, ...(refused ?? [])].flatMap(({ problems }) => problems.map(({ message }) => message)).join("\n");
    // Before it could be asked, the enum has refused.
    const unreachable = "type must be one of ['Exact', 'PathPrefix', 'RegularExpression']";
    assert.deepEqual(
      messagesOf(schema).filter((message) => !said.includes(message) && message !== unreachable),
      [],
      "every rule refused something",
    );
  });
}

for (const kind of core) {
  test(`${kind.kind}s have the fields that Kubernetes has`, { timeout: 1_000_000 }, async (t) => {
    const parts = need(t, "go");
    if (parts === undefined) return;
    const fields = JSON.parse(await succeed(await kubernetesPart(parts.go), ["fields"])) as Record<string, string[]>;
    const ours = [...below(fieldsOf(kind))].map(({ path }) => path).sort();
    assert.deepEqual(ours, fields[`${kind.apiVersion}/${kind.kind}`]);
  });

  test(`${kind.kind}s made by chance are judged alike`, { timeout: 1_000_000 }, async (t) => {
    const { status: _, ...properties } = jsonSchema(kind).properties as Record<string, Schema>;
    const schema = { ...(jsonSchema(kind) as Schema), properties };
    const { spec } = properties;
    // Most Services without them are refused for that alone.
    if (spec?.properties?.ports?.items) {
      spec.required = ["ports"];
      spec.properties.ports = {
        ...spec.properties.ports,
        minItems: 1,
        items: { ...spec.properties.ports.items, required: ["name", "port"] },
      };
    }
    const objects = fc.sample(documentsBySchema(kind.apiVersion, kind.kind, schema), { numRuns: 2000, seed });
    await judgedAlike(
      t,
      objects.filter((object) => !isStricter(object)),
      false,
    );
  });
}

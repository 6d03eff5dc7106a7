import assert from "node:assert/strict";
import { test } from "node:test";
import type { ApiObject, DraftObject } from "@weft/client";
import { applied, lastAppliedAnnotation, wantedOf } from "./last-applied.ts";

const document = (spec: object, metadata: object = {}): DraftObject => ({
  apiVersion: "gateway.networking.k8s.io/v1",
  kind: "HTTPRoute",
  metadata: { name: "users", namespace: "default", ...metadata },
  spec,
});

/** What the server makes of an object that is sent to it. */
const stored = (object: DraftObject, metadata: object = {}): ApiObject => ({
  ...object,
  metadata: { uid: "u1", resourceVersion: "7", generation: 1, creationTimestamp: "2026-01-01T00:00:00Z", ...object.metadata, ...metadata },
});

test("what a document no longer says goes; what others said stays", () => {
  const first = stored(applied(document({ hostnames: ["a"], rules: [] }), undefined));
  const touched = stored(first, { labels: { theirs: "1" } });
  const { spec, metadata } = applied(document({ rules: [{}] }), touched);
  assert.deepEqual(spec, { rules: [{}] });
  assert.deepEqual(metadata.labels, { theirs: "1" });
});

test("what kubectl applied is known, and kubectl knows what weft applied", () => {
  const configuration = { ...document({ hostnames: ["a"] }), metadata: { annotations: {}, name: "users", namespace: "default" } };
  const theirs = stored(document({ hostnames: ["a"] }), { annotations: { [lastAppliedAnnotation]: `${JSON.stringify(configuration)}\n` } });
  const { spec, metadata } = applied(document({ rules: [] }), theirs);
  assert.deepEqual(spec, { rules: [] });
  assert.deepEqual(JSON.parse((metadata.annotations as Record<string, string>)[lastAppliedAnnotation] ?? ""), document({ rules: [] }));
});

test("of what nobody applied before nothing is taken away, nor of a note that is none", () => {
  for (const annotations of [undefined, { [lastAppliedAnnotation]: "no JSON" }]) {
    const live = stored(document({ hostnames: ["a"] }), annotations && { annotations });
    assert.deepEqual(applied(document({ rules: [] }), live).spec, { hostnames: ["a"], rules: [] });
  }
});

test("what the server sets is not wanted, and a note of an earlier time neither", () => {
  const live = stored(document({}, { annotations: { [lastAppliedAnnotation]: "{}", team: "a" } }));
  assert.deepEqual(wantedOf({ ...live, status: { parents: [] } }), document({}, { annotations: { team: "a" } }));
  assert.deepEqual(wantedOf(stored(document({}, { annotations: { [lastAppliedAnnotation]: "{}" } }))), document({}));
});

test("an object that is too large to note is replaced as a whole", () => {
  const large = document({ rules: ["x".repeat(300 * 1024)] });
  const live = stored(document({ hostnames: ["a"], rules: [] }));
  const { spec, metadata } = applied(large, live);
  assert.deepEqual([spec, metadata.annotations], [large.spec, {}]);
});

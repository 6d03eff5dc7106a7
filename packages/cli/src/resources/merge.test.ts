import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { merge } from "./merge.ts";

test("what is wanted is set, what others set stays, and what was wanted before goes", () => {
  const last = { spec: { hostnames: ["a"], timeouts: { request: "1s" } }, metadata: { labels: { mine: "1", old: "1" } } };
  const wanted = { spec: { rules: [{}] }, metadata: { labels: { mine: "2" } } };
  const live = {
    spec: { hostnames: ["a"], timeouts: { request: "1s" }, clusterIP: "10.0.0.1" },
    metadata: { uid: "u1", labels: { mine: "1", old: "1", theirs: "1" } },
    status: {},
  };
  assert.deepEqual(merge(last, wanted, live), {
    spec: { clusterIP: "10.0.0.1", rules: [{}] },
    metadata: { uid: "u1", labels: { theirs: "1", mine: "2" } },
    status: {},
  });
});

test("lists are replaced as a whole, null takes away, and other types take each other's place", () => {
  assert.deepEqual(merge({}, { list: [{ a: 1 }] }, { list: [{ a: 2, b: 3 }, {}] }), { list: [{ a: 1 }] });
  assert.deepEqual(merge({}, { a: null, b: { c: null } }, { a: 1, b: { c: 1, d: 1 } }), { b: { d: 1 } });
  assert.deepEqual(merge({}, { a: { b: 1 } }, { a: "text" }), { a: { b: 1 } });
  assert.deepEqual(merge({}, { a: "text" }, { a: { b: 1 } }), { a: "text" });
});

const json = fc.jsonValue({ maxDepth: 3 });
const mapping = fc.dictionary(fc.constantFrom("a", "b", "c", "__proto__", "constructor"), json);

test("applied once, applying the same again changes nothing, whatever there was", () => {
  fc.assert(
    fc.property(mapping, mapping, mapping, (last, wanted, live) => {
      const merged = merge(last, wanted, live);
      assert.deepEqual(merge(wanted, wanted, merged), merged);
    }),
  );
});

test("with nothing there, what is wanted is what comes of it, but for null", () => {
  const withoutNulls = (value: unknown): unknown => merge({}, value, {});
  fc.assert(fc.property(mapping, mapping, (last, wanted) => assert.deepEqual(merge(last, wanted, undefined), withoutNulls(wanted))));
});

test("what neither wanted nor wants is untouched", () => {
  fc.assert(
    fc.property(mapping, mapping, mapping, (last, wanted, live) => {
      const merged = merge(last, wanted, live) as Record<string, unknown>;
      for (const [key, value] of Object.entries(live))
        if (!Object.hasOwn(last, key) && !Object.hasOwn(wanted, key)) assert.deepEqual(merged[key], value);
    }),
  );
});

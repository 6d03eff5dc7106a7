import assert from "node:assert/strict";
import { test } from "node:test";
import { findKind, type Kind } from "@weft/api/kinds";
import fc from "fast-check";
import { jsonPatch } from "./json-patch.ts";
import { mergePatch } from "./merge-patch.ts";
import { mergeKeysOf, strategicMergePatch } from "./strategic-merge-patch.ts";

test("a merge patch does what RFC 7396 shows", () => {
  const shown: [value: unknown, patch: unknown, result: unknown][] = [
    [{ a: "b" }, { a: "c" }, { a: "c" }],
    [{ a: "b" }, { b: "c" }, { a: "b", b: "c" }],
    [{ a: "b" }, { a: null }, {}],
    [{ a: "b", b: "c" }, { a: null }, { b: "c" }],
    [{ a: ["b"] }, { a: "c" }, { a: "c" }],
    [{ a: "c" }, { a: ["b"] }, { a: ["b"] }],
    [{ a: { b: "c" } }, { a: { b: "d", c: null } }, { a: { b: "d" } }],
    [{ a: [{ b: "c" }] }, { a: [1] }, { a: [1] }],
    [
      ["a", "b"],
      ["c", "d"],
      ["c", "d"],
    ],
    [{ a: "b" }, ["c"], ["c"]],
    [{ a: "foo" }, null, null],
    [{ a: "foo" }, "bar", "bar"],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [[1, 2], { a: "b", c: null }, { a: "b" }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ];
  for (const [value, patch, result] of shown) assert.deepEqual(mergePatch(value, patch), result, JSON.stringify(patch));
});

test("a JSON patch does what RFC 6902 shows", () => {
  const shown: [value: unknown, patch: object[], result: unknown][] = [
    [{ foo: "bar" }, [{ op: "add", path: "/baz", value: "qux" }], { baz: "qux", foo: "bar" }],
    [{ foo: ["bar", "baz"] }, [{ op: "add", path: "/foo/1", value: "qux" }], { foo: ["bar", "qux", "baz"] }],
    [{ foo: ["bar"] }, [{ op: "add", path: "/foo/-", value: ["abc"] }], { foo: ["bar", ["abc"]] }],
    [{ baz: "qux", foo: "bar" }, [{ op: "remove", path: "/baz" }], { foo: "bar" }],
    [{ foo: ["bar", "qux", "baz"] }, [{ op: "remove", path: "/foo/1" }], { foo: ["bar", "baz"] }],
    [{ baz: "qux", foo: "bar" }, [{ op: "replace", path: "/baz", value: "boo" }], { baz: "boo", foo: "bar" }],
    [
      { foo: { bar: "baz", waldo: "fred" }, qux: { corge: "grault" } },
      [{ op: "move", from: "/foo/waldo", path: "/qux/thud" }],
      { foo: { bar: "baz" }, qux: { corge: "grault", thud: "fred" } },
    ],
    [{ foo: ["all", "grass", "cows", "eat"] }, [{ op: "move", from: "/foo/1", path: "/foo/3" }], { foo: ["all", "cows", "eat", "grass"] }],
    [
      { a: [1] },
      [
        { op: "copy", from: "/a", path: "/b" },
        { op: "add", path: "/b/0", value: 0 },
      ],
      { a: [1], b: [0, 1] },
    ],
    [{ "/": 9, "~1": 10 }, [{ op: "test", path: "/~01", value: 10 }], { "/": 9, "~1": 10 }],
    [{ foo: null }, [{ op: "add", path: "", value: [1] }], [1]],
    [{ foo: 1 }, [{ op: "replace", path: "/foo", value: null }], { foo: null }],
  ];
  for (const [value, patch, result] of shown) assert.deepEqual(jsonPatch(value, patch), result, JSON.stringify(patch));
});

test("a step that cannot be made is refused with its number and the reason", () => {
  const refused: [patch: unknown, why: RegExp][] = [
    [{}, /no list of steps/],
    [[1], /Step 0.*no mapping/],
    [[{ op: "remove", path: "/none" }], /nothing at "none"/],
    [[{ op: "add", path: "/none/a", value: 1 }], /nothing at "none"/],
    [
      [
        { op: "add", path: "/a", value: 1 },
        { op: "add", path: "/list/3", value: 1 },
      ],
      /Step 1.*"3" is no place in a list of 2/,
    ],
    [[{ op: "replace", path: "/list/-", value: 1 }], /"-" is no place/],
    [[{ op: "add", path: "/list/01", value: 1 }], /"01" is no place/],
    [[{ op: "add", path: "/text/a", value: 1 }], /"a" is a field of no mapping/],
    [[{ op: "replace", path: "/none", value: 1 }], /nothing at/],
    [[{ op: "add", path: "/a" }], /has no value/],
    [[{ op: "add", path: "a", value: 1 }], /no JSON pointer/],
    [[{ op: "copy", path: "/a" }], /its from is no JSON pointer/],
    [[{ op: "move", from: "/map", path: "/map/a" }], /into itself/],
    [[{ op: "test", path: "/text", value: "other" }], /another one/],
    [[{ op: "spoil", path: "/text" }], /none of add/],
    [[{ op: "remove", path: "/__proto__" }], /nothing at/],
    [[{ op: "remove", path: "/map/toString" }], /nothing at/],
  ];
  const value = { list: [1, 2], text: "t", map: { b: 1 } };
  for (const [patch, why] of refused) {
    assert.throws(() => jsonPatch(value, patch), { code: "WEFT-C-BODY-INVALID", message: why }, JSON.stringify(patch));
  }
  assert.deepEqual(value, { list: [1, 2], text: "t", map: { b: 1 } });
});

const keys = mergeKeysOf(findKind("service") as Kind);
const strategic = (value: unknown, patch: unknown) => strategicMergePatch(value, patch, keys);

test("a strategic merge patch merges lists of known items, and replaces others", () => {
  const ports = [
    { port: 80, name: "http" },
    { port: 81, name: "admin" },
  ];
  const value = { metadata: { finalizers: ["a", "b"] }, spec: { ports, externalIPs: ["10.0.0.1"], selector: { a: "b" } } };
  const patched = (patch: object) => strategic(value, patch) as typeof value;
  assert.deepEqual(patched({ spec: { ports: [{ port: 81, name: "other" }, { port: 82 }] } }).spec.ports, [
    ports[0],
    { port: 81, name: "other" },
    { port: 82 },
  ]);
  assert.deepEqual(patched({ spec: { ports: [{ port: 80, $patch: "delete" }] } }).spec.ports, [ports[1]]);
  assert.deepEqual(patched({ spec: { ports: [{ $patch: "replace" }, { port: 9 }] } }).spec.ports, [{ port: 9 }]);
  assert.deepEqual(
    patched({ spec: { "$setElementOrder/ports": [{ port: 81 }, { port: 80 }], ports: [{ port: 80, name: "x" }] } }).spec.ports,
    [ports[1], { port: 80, name: "x" }],
  );
  assert.deepEqual(patched({ spec: { externalIPs: ["10.0.0.2"] } }).spec.externalIPs, ["10.0.0.2"]);
  assert.deepEqual(patched({ metadata: { finalizers: ["c", "a"] } }).metadata.finalizers, ["a", "b", "c"]);
  assert.deepEqual(patched({ metadata: { "$deleteFromPrimitiveList/finalizers": ["a"] } }).metadata.finalizers, ["b"]);
  assert.deepEqual(patched({ spec: { selector: { $patch: "replace", c: "d" } } }).spec.selector, { c: "d" });
  assert.deepEqual(patched({ spec: { selector: { $patch: "delete" } } }).spec.selector, undefined);
  assert.deepEqual(patched({ spec: { $retainKeys: ["ports"], externalIPs: null } }).spec, { ports });
  assert.throws(() => patched({ spec: { ports: [{ name: "no port" }] } }), { code: "WEFT-C-BODY-INVALID", message: /has no port/ });
  assert.throws(() => patched({ spec: { $patch: "spoil" } }), { code: "WEFT-C-BODY-INVALID" });
  assert.throws(() => strategic({}, []), { code: "WEFT-C-BODY-INVALID" });
});

test("without lists of known items and words of its own, a strategic merge patch is a merge patch", () => {
  const json = fc.dictionary(fc.constantFrom("a", "b", "__proto__"), fc.jsonValue({ maxDepth: 3 }));
  // A merge patch leaves null in a value that it sets whole; a strategic one has none.
  const withoutNull = (value: unknown) => JSON.parse(JSON.stringify(value), (_key, each) => (each === null ? 0 : each));
  fc.assert(
    fc.property(json, json, (value, patch) => {
      const before = JSON.stringify(value);
      assert.deepEqual(strategic(value, withoutNull(patch)), mergePatch(value, withoutNull(patch)));
      assert.equal(JSON.stringify(value), before, "what is patched stays as it is");
    }),
    { seed: Number(process.env.WEFT_SEED ?? 1) },
  );
});

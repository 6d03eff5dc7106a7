import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { documentsOf } from "../generate/files.ts";
import { kinds } from "../kinds/index.ts";
import { readResources } from "./documents.ts";
import { maxDocumentBytes, maxInputBytes, maxObjects, maxProblems } from "./limits.ts";

const mesh = "apiVersion: weft.dev/v1alpha1\nkind: Mesh\nmetadata:\n  name: default\n";
const route = (name: string, more = "") =>
  `apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata:\n  name: ${name}\n${more}spec:\n  rules:\n    - backendRefs:\n        - name: users\n          port: 80\n`;

const read = (text: string | Uint8Array) => readResources([{ file: "a.yaml", text }]);

/** Names of the objects of a text, which must be fine. */
function names(text: string | Uint8Array): string[] {
  const { resources, problems } = read(text);
  assert.deepEqual(problems, []);
  return resources.map(({ object }) => object.metadata.name);
}

/** What is said of a text in which nothing is fine: `line:column path: cause`. */
function said(text: string | Uint8Array): string[] {
  const { resources, problems } = read(text);
  assert.deepEqual(resources, []);
  for (const problem of problems) {
    assert.ok(problem.remedy.length > 0);
    assert.match(problem.code, /^WEFT-R-/);
  }
  return problems.map(({ line, column, path, cause }) => `${line}:${column} ${path}${path && ": "}${cause}`);
}

test("several documents, comments and empty documents", () => {
  assert.deepEqual(names(`# first\n---\n---\n${mesh}---\n# nothing\n---\n${route("a")}...\n---\nnull\n---\n~\n`), ["default", "a"]);
  assert.deepEqual(names(""), []);
  assert.deepEqual(names("\n\n# only a comment"), []);
});

test("line ends of Windows, a byte order mark, a directive, and no line end at the end", () => {
  assert.deepEqual(names(`\ufeff${mesh}---\n${route("a")}`.replaceAll("\n", "\r\n").trimEnd()), ["default", "a"]);
  assert.deepEqual(names(new TextEncoder().encode(`\ufeff${mesh}`)), ["default"]);
  assert.deepEqual(names(`# a\n%YAML 1.1\n---\n${mesh}---\n${route("a")}`), ["default", "a"]);
});

test("JSON, indented by tabs too", () => {
  const object = { apiVersion: "weft.dev/v1alpha1", kind: "Mesh", metadata: { name: "default", nmae: "x" } };
  assert.deepEqual(said(JSON.stringify(object, undefined, "\t")), ["6:3 metadata.nmae: there is no such field"]);
});

test("lists as kubectl prints them, each item by itself", () => {
  const items = ["a", "b"].map((name) => JSON.stringify({ apiVersion: "weft.dev/v1alpha1", kind: "Mesh", metadata: { name } }));
  assert.deepEqual(said(`apiVersion: v1\nkind: List\nmetadata: {resourceVersion: ""}\nitems:\n- ${items[0]}\n- null\n`), [
    "5:70 items[0].metadata.name: its name is not default: a mesh has one Mesh",
    "6:3 items[1]: it is null, and an object is needed",
  ]);
  assert.deepEqual(names("apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRouteList\nitems: []\n"), []);
  assert.deepEqual(names("kind: List\napiVersion: v1\nitems:\n"), []);
});

test("fields that are null are absent, as API servers have it", () => {
  assert.deepEqual(names(`${mesh}spec: null\nstatus:\n`), ["default"]);
});

test("an anchor and its aliases stand for the same, and merge keys merge", () => {
  const text = route("a", "  labels: &labels\n    team: a\n  annotations:\n    <<: *labels\n    more: b\n");
  const annotations = read(text).resources.map(({ object }) => (object.metadata as { annotations?: object }).annotations);
  assert.deepEqual(annotations, [{ team: "a", more: "b" }]);
});

test("what is wrong with one document says nothing of the others", () => {
  const { resources, problems } = read(`${route("a")}---\nkind: [\n---\n${route("b")}`);
  assert.deepEqual(
    resources.map(({ object }) => object.metadata.name),
    ["a", "b"],
  );
  assert.deepEqual(
    problems.map(({ document, line }) => [document, line]),
    [[2, 12]],
  );
});

test("what is no document, and where", () => {
  assert.deepEqual(said("hello"), ['1:1 it is "hello", and an object is needed']);
  assert.deepEqual(said("- a\n- b"), ["1:1 it is a list, and an object is needed"]);
  assert.deepEqual(said(`${mesh}spec:\n\ttrustDomain: a\n`), ["6:1 it is indented by a tab"]);
  assert.deepEqual(said(`${mesh}kind: Mesh\n`), ["5:1 a key is there twice"]);
  assert.deepEqual(said(`${mesh}spec: *nothing\n`), ["5:7 *nothing stands for nothing"]);
  assert.deepEqual(said(`${mesh.replace("metadata:", "metadata: &all")}  labels: *all\n`), ["5:11 *all stands for what it is part of"]);
  assert.deepEqual(said('{"kind": "Mesh"}\n{"kind": "Mesh"}'), ["2:1 another document begins"]);
  assert.deepEqual(said("a: b: c"), ["1:4 a mapping begins where a value ended"]);
  assert.deepEqual(said(`${mesh}spec: 'a`), ["5:9 a character is missing"]);
});

test("kinds and versions that there are not", () => {
  assert.deepEqual(said("kind: HttpRoute"), ['1:7 kind: "HttpRoute" is no kind that Weft knows']);
  assert.equal(read("kind: HttpRoute").problems[0]?.remedy, "Did you mean HTTPRoute?");
  assert.deepEqual(said("kind: Mesh"), ["1:1 apiVersion: is missing"]);
  assert.deepEqual(said("apiVersion: v1\nkind: Mesh"), ['1:13 apiVersion: "v1" has no Mesh that Weft knows']);
  assert.deepEqual(said("a: 1"), ["1:1 kind: is missing"]);
  assert.deepEqual(said("kind: 7"), ["1:7 kind: 7 is no kind that Weft knows"]);
});

test("an object that is described twice, in one file or two; its namespace is default if it says none", () => {
  assert.deepEqual(names(`${route("a")}---\n${route("a", "  namespace: other\n")}`), ["a", "a"]);
  const sources = [route("a"), `---\n${route("a", "  namespace: default\n")}`].map((text, index) => ({ file: `${index}.yaml`, text }));
  const { resources, problems } = readResources(sources);
  assert.equal(resources.length, 1);
  assert.deepEqual(problems, [
    {
      code: "WEFT-R-DUPLICATE",
      file: "1.yaml",
      document: 1,
      line: 2,
      column: 1,
      object: "HTTPRoute default/a",
      path: "metadata.name",
      cause: "the same object is described at 0.yaml:1 already",
      remedy: "Leave one of the two out",
    },
  ]);
});

test("what YAML 1.1 takes for true, a moment stays a text", () => {
  assert.deepEqual(said(`${mesh}  labels:\n    a: on\n`), ["6:8 metadata.labels.a: it is true, and a text is needed"]);
  assert.deepEqual(names(route("a", "  creationTimestamp: 2026-11-02T09:30:00Z\n")), ["a"]);
  assert.deepEqual(names(`${mesh}  labels:\n    a: 2026-11-02\n`), ["default"]);
});

test("warnings leave an object what it is", () => {
  const { resources, problems } = read(route("a").replace("port: 80", "port: 80\n          weight: 0"));
  assert.equal(resources.length, 1);
  assert.deepEqual(
    problems.map(({ code, line, path }) => [code, line, path]),
    [["WEFT-R-NO-EFFECT", 8, "spec.rules[0].backendRefs"]],
  );
});

test("keys that mean something to JavaScript are fields like others", () => {
  const [problem] = said('{"apiVersion": "weft.dev/v1alpha1", "kind": "Mesh", "metadata": {"name": "default", "__proto__": {"a": 1}}}');
  assert.equal(problem, "1:85 metadata.__proto__: there is no such field");
  assert.deepEqual(said(`${mesh}constructor: 1\n`), ["5:1 constructor: there is no such field"]);
});

test("bytes that are not UTF-8, by their line", () => {
  assert.deepEqual(said(Uint8Array.from([0x61, 0x0a, 0xff])), ["2:1 a line is not UTF-8"]);
  assert.deepEqual(said(Uint8Array.from([0xff, 0xfe, 0x61, 0x00])), ["1:1 a line is not UTF-8"]);
});

test("limits: of a document, of all input, of objects, of depth, of what aliases stand for", () => {
  assert.match(
    said(`${mesh}# ${"x".repeat(2_000_000)}`)[0] ?? "",
    /^1:1 the document has 2000\d+ characters, and at most 1 MiB are allowed$/,
  );
  assert.deepEqual(names(`${mesh}# ${"x".repeat(maxDocumentBytes - 100)}`), ["default"]);
  assert.match(said(new Uint8Array(maxInputBytes + 1))[0] ?? "", /all input together is over 64 MiB/);
  assert.match(said("[".repeat(20_000))[0] ?? "", /nested too deeply/);
  assert.match(said('{"a":'.repeat(20_000))[0] ?? "", /nested too deeply/);
  const bomb = [
    "a: &a [x]",
    ..."bcdefghi".split("").map((name, index) => `${name}: &${name} [${`*${"abcdefgh"[index]},`.repeat(9)}]`),
  ].join("\n");
  assert.deepEqual(said(bomb), ["1:1 its aliases come to more than 100 copies"]);
});

test("what is long is cut off in messages, and many problems are told by the first ones", () => {
  const long = "x".repeat(900_000);
  for (const text of [
    `${mesh}${long}: 1`,
    `${mesh}  labels: {${long}: a}`,
    `${mesh}  labels: {a: ${long}}`,
    `kind: ${long}`,
    mesh.replace("default", long),
  ]) {
    const { problems } = read(text);
    assert.ok(problems.length > 0 && JSON.stringify(problems).length < 1500);
  }
  const many = Array.from({ length: 50_000 }, (_, index) => `k${index}: 1`).join("\n");
  assert.equal(read(`${mesh}${many}`).problems.length, maxProblems);
});

test("thousands of documents, and too many", () => {
  const many = (count: number) => Array.from({ length: count }, (_, index) => `${mesh.replace("default", `m${index}`)}`).join("---\n");
  const { problems } = read(many(maxObjects + 5));
  assert.equal(problems.length, maxObjects + 1);
  assert.match(problems.at(-1)?.cause ?? "", /more than 10000 objects/);
  assert.equal(names(Array.from({ length: 5000 }, (_, index) => route(`r${index}`)).join("---\n")).length, 5000);
});

test("whatever the text, each document is fine or has problems, and nothing is thrown", () => {
  const documents = kinds.flatMap((kind) => [...documentsOf(kind, "examples"), ...documentsOf(kind, "refused")].map(({ text }) => text));
  const bits = [
    "\t",
    "\n",
    "- ",
    ": ",
    "{",
    "}",
    "[",
    "]",
    "*a",
    "&a ",
    "---\n",
    "...\n",
    "'",
    '"',
    "|\n",
    ">-\n",
    "? ",
    "!!set ",
    "<<: ",
    "%YAML 1.2\n",
    "\u0000",
    "\ud800",
    "# ",
  ];
  const damaged = fc
    .tuple(fc.constantFrom(...documents), fc.nat(), fc.nat(30), fc.oneof(fc.constantFrom(...bits), fc.string()))
    .map(([text, at, length, put]) => text.slice(0, at % text.length) + put + text.slice((at % text.length) + length));
  fc.assert(
    fc.property(
      fc.oneof(
        damaged,
        fc.string(),
        fc.array(fc.constantFrom(...bits, "a", "kind", "Mesh")).map((parts) => parts.join("")),
      ),
      (text) => {
        const { problems } = read(text);
        const lines = text.split("\n").length;
        for (const { line, column, cause, remedy } of problems) {
          assert.ok(line >= 1 && line <= lines && column >= 1, `${line}:${column} of ${lines} lines`);
          assert.ok(cause.length > 0 && remedy.length > 0);
        }
      },
    ),
    { numRuns: 1000 },
  );
});

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { documentsOf, folderOf, generatedFiles, root } from "../generate/files.ts";
import { readResources } from "../validate/documents.ts";
import { below, fieldsOf } from "../validate/fields.ts";
import { findKind, kinds, namesOf } from "./index.ts";
import { isOwn } from "./kind.ts";

// Each kind has documents beside it: examples, and refused ones, named after why. A refused one begins with what is said of it, a line a problem.
// WEFT_WRITE=1 writes these lines anew.

/** What is said of a document below `lines` lines of comment, as these lines. */
function saidOf(text: string, lines: number): string[] {
  const { problems } = readResources([{ file: "", text: `${"#\n".repeat(lines)}${text}` }]);
  return problems.map(({ line, column, path, cause, remedy, code }) => `# ${line}:${column} ${path}: ${cause}. ${remedy} (${code})`);
}

for (const kind of kinds) {
  for (const { name, text } of documentsOf(kind, "examples")) {
    test(`${kind.kind}: the example "${name}" is fine`, () => {
      const { resources, problems } = readResources([{ file: name, text }]);
      assert.deepEqual(problems, []);
      assert.deepEqual(
        resources.map((each) => each.kind.kind),
        [kind.kind],
      );
    });
  }
  for (const { name, text } of documentsOf(kind, "refused")) {
    test(`${kind.kind}: refused: ${name}`, () => {
      const body = text.replace(/^(#.*\n)+/, "");
      const said = saidOf(body, saidOf(body, 0).length);
      assert.deepEqual(readResources([{ file: name, text }]).resources, []);
      const path = join(root, "packages/api/src/kinds", folderOf(kind), "refused", `${name}.yaml`);
      if (process.env.WEFT_WRITE === "1") writeFileSync(path, `${said.join("\n")}\n${body}`);
      else assert.deepEqual((/^(#.*\n)+/.exec(text)?.[0] ?? "").trimEnd().split("\n"), said);
    });
  }

  test(`${kind.kind}: every field says what it is`, () => {
    const silent = [...below(fieldsOf(kind))].filter(({ schema }) => !/[.]$/.test(schema.description ?? ""));
    assert.deepEqual(
      silent.map(({ path }) => path),
      [],
    );
  });

  test(`${kind.kind}: every rule is about fields that there are, and refuses some document`, () => {
    const paths = new Set(["", ...[...below(fieldsOf(kind))].map(({ path }) => path)]);
    // Kinds share rules.
    const refused = kinds.flatMap((each) => documentsOf(each, "refused").map(({ text }) => text)).join("\n");
    // One document stands for rules that differ only in a filter's type.
    const isOneOfMany = (cause: string) => /^\w+ is set, but type|^type is \w+, but|^there are two filters of type/.test(cause);
    for (const { at, field, cause, warning, cel } of kind.rules) {
      assert.ok(paths.has(at.replace(/\[\]$/, "")), at);
      if (field !== undefined) assert.ok(paths.has([at, field].filter(Boolean).join(".")), `${at}.${field}`);
      if (warning) continue;
      if (!isOneOfMany(cause)) assert.ok(refused.includes(cause), `no refused document for: ${cause}`);
      if (isOwn(kind)) assert.ok(cel, `a CRD needs CEL: ${cause}`);
    }
  });

  test(`${kind.kind}: fields that are gone are none of its fields`, () => {
    const paths = new Set([...below(fieldsOf(kind))].map(({ path }) => path));
    for (const path of Object.keys(kind.removed)) {
      assert.ok(!paths.has(path), path);
      assert.ok(paths.has(path.replace(/(\[\])?\.?\w+$/, "")), `${path} is in no field`);
    }
  });
}

test("a kind is found by each of its names, in any case, and no name means two", () => {
  const names = kinds.flatMap(namesOf);
  assert.equal(new Set(names).size, new Set(kinds.flatMap((kind) => [...new Set(namesOf(kind))])).size);
  assert.equal(findKind("HTTPROUTES")?.kind, "HTTPRoute");
  assert.equal(findKind("svc")?.kind, "Service");
  assert.equal(findKind("pod"), undefined);
  for (const kind of kinds) for (const name of namesOf(kind)) assert.equal(findKind(name), kind);
});

test("what is made from the kinds is as they are now: if not, run `npm run generate`", () => {
  for (const [path, text] of generatedFiles())
    assert.equal(readFileSync(join(root, path), "utf8"), text, `${path} is old: run npm run generate`);
});

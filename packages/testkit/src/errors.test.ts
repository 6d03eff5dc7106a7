import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { errorCatalogue } from "@weft/api";
import { cliErrorCatalogue } from "../../cli/src/errors.ts";
import { root } from "./programs.ts";

const folders = ["proxy/src", "bin", ...["api", "cli", "controller", "dashboard"].map((name) => `packages/${name}/src`)];

/** What is shipped: tests, what only they use, and generated code name codes only as examples. */
const isShipped = (path: string) => !/\/(gen|testing|proto)\/|\/tests?\.rs$|\.test\.tsx?$/.test(path);

const shipped = folders.flatMap((folder) =>
  readdirSync(join(root, folder), { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter(isShipped)
    .map((path) => readFileSync(path, "utf8").split("#[cfg(test)]\nmod tests {")[0] ?? ""),
);

const codesIn = (texts: string[]) => new Set(texts.flatMap((text) => text.match(/\bWEFT-[A-Z](?:-[A-Z]+)+(?![A-Z-])/g) ?? []));

const document = readFileSync(join(root, "docs/errors.md"), "utf8");
const rows = document
  .split("\n")
  .map((line) => /^\| `(WEFT-[A-Z-]+)` \| (.+) \| (.+) \|$/.exec(line))
  .filter((row) => row !== null)
  .map(([, code = "", meaning = "", action = ""]) => ({ code, meaning, action }));

test("docs/errors.md lists every code of the sources, once, and no other", () => {
  const used = codesIn(shipped);
  assert.ok(used.size > 60, `only ${used.size} codes were found`);
  assert.deepEqual(rows.map(({ code }) => code).sort(), [...used].sort());
});

test("docs/errors.md says what the messages say", () => {
  const listed = Object.fromEntries(rows.map(({ code, ...entry }) => [code, entry]));
  for (const [code, entry] of Object.entries({ ...errorCatalogue, ...cliErrorCatalogue })) assert.deepEqual(listed[code], entry, code);
});

test("documents name only codes that exist", () => {
  const documents = readdirSync(join(root, "docs"), { withFileTypes: true, recursive: true })
    .filter(({ name }) => name.endsWith(".md"))
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), "utf8"));
  const known = new Set(rows.map(({ code }) => code));
  assert.deepEqual(
    [...codesIn([...documents, readFileSync(join(root, "README.md"), "utf8")])].filter((code) => !known.has(code)),
    [],
  );
});

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { after, test } from "node:test";
import { repository } from "./paths.ts";

const folder = mkdtempSync(join(tmpdir(), "weft-resources-"));
after(() => rmSync(folder, { recursive: true, force: true }));

function file(name: string, content: string | Uint8Array): string {
  mkdirSync(join(folder, name, ".."), { recursive: true });
  writeFileSync(join(folder, name), content);
  return name;
}

/** Runs weft in the folder, with `input` as its standard input. */
async function weft(args: string[], input = ""): Promise<{ code: number; stdout: string; stderr: string }> {
  const child = spawn(join(repository, "bin/weft"), args, { cwd: folder, env: { ...process.env, NO_COLOR: "1" } });
  child.stdin.end(input);
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "close")]);
  return { code, stdout, stderr };
}

const route = (name: string, backend: string) => `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: ${name}
spec:
  rules:
    - backendRefs:
        - ${backend}
`;

test("validate: each object on standard output, and nothing else when all is fine", async () => {
  const name = file("fine.yaml", `${route("a", "{ name: users, port: 80 }")}---\n${route("b", "{ name: users, port: 80 }")}`);
  const { code, stdout, stderr } = await weft(["validate", "-f", name]);
  assert.deepEqual([code, stderr], [0, ""]);
  assert.equal(
    stdout,
    ["KIND       NAME  PLACE         RESULT", "HTTPRoute  a     fine.yaml:1   valid", "HTTPRoute  b     fine.yaml:10  valid", ""].join(
      "\n",
    ),
  );
});

test("validate: each problem with its place, cause, remedy and code, and exit code 1", async () => {
  const name = file("wrong.yaml", `${route("a", "{ name: users }")}---\n${route("b", "{ nmae: users, port: '80' }")}`);
  const { code, stdout, stderr } = await weft(["validate", "-f", name]);
  assert.equal(code, 1);
  assert.match(stdout, /^HTTPRoute {2}a .*refused\nHTTPRoute {2}b .*refused\n$/m);
  assert.deepEqual(stderr.trimEnd().split("\n"), [
    "weft: wrong.yaml:8:11: HTTPRoute a: spec.rules[0].backendRefs[0]: a Service is referred to without its port. Add port, the Service's port that is called. (WEFT-R-RULE)",
    "weft: wrong.yaml:17:11: HTTPRoute b: spec.rules[0].backendRefs[0].name: is missing. Add it: `weft explain httproute.spec.rules.backendRefs.name` says what it takes. (WEFT-R-FIELD-MISSING)",
    "weft: wrong.yaml:17:13: HTTPRoute b: spec.rules[0].backendRefs[0].nmae: there is no such field. Did you mean name? (WEFT-R-FIELD-UNKNOWN)",
    'weft: wrong.yaml:17:32: HTTPRoute b: spec.rules[0].backendRefs[0].port: it is "80", and a number is needed. Write it without quotes. (WEFT-R-VALUE-INVALID)',
  ]);
});

test("validate: folders, those below with -R, and objects that are in two files", async () => {
  file("tree/a.yaml", route("a", "{ name: users, port: 80 }"));
  file("tree/notes.txt", "nothing: [");
  file("tree/below/b.json", JSON.stringify({ apiVersion: "weft.dev/v1alpha1", kind: "Mesh", metadata: { name: "default" } }));
  file("tree/below/c.yml", route("a", "{ name: users, port: 80 }"));
  const flat = JSON.parse((await weft(["validate", "-f", "tree", "-o", "json"])).stdout);
  assert.deepEqual(
    flat.objects.map((each: { file: string }) => each.file),
    ["tree/a.yaml"],
  );
  const { code, stdout } = await weft(["validate", "-R", "-f", "tree", "-o", "json"]);
  const { valid, objects, problems } = JSON.parse(stdout);
  assert.deepEqual([code, valid], [1, false]);
  assert.deepEqual(
    objects.map(({ file, result }: { file: string; result: string }) => [file, result]),
    [
      ["tree/a.yaml", "valid"],
      ["tree/below/b.json", "valid"],
      ["tree/below/c.yml", "refused"],
    ],
  );
  assert.deepEqual(
    problems.map(({ code, file, line }: { code: string; file: string; line: number }) => [code, file, line]),
    [["WEFT-R-DUPLICATE", "tree/below/c.yml", 1]],
  );
});

test("validate: standard input, and warnings, which are no refusal", async () => {
  const { code, stdout, stderr } = await weft(["validate", "-f", "-"], route("a", "{ name: users, port: 80, weight: 0 }"));
  assert.equal(code, 0);
  assert.match(stdout, /^HTTPRoute {2}a {5}standard input:1 {2}valid, 1 warning$/m);
  assert.match(stderr, /^weft: warning: standard input:8:9: .*every weight is 0.*\(WEFT-R-NO-EFFECT\)\n$/);
});

test("validate: what cannot be read, or has nothing in it, fails, and the rest is checked all the same", async () => {
  const name = file("one.yaml", route("a", "{ name: users, port: 80 }"));
  const missing = await weft(["validate", "-f", "none.yaml", name]);
  assert.equal(missing.code, 1);
  assert.match(missing.stdout, /one\.yaml:1 {2}valid/);
  assert.match(missing.stderr, /^weft: "none\.yaml" cannot be read: there is no such file or folder\. .*\(WEFT-L-FILE-UNREADABLE\)\n$/);
  const empty = await weft(["validate", "-f", file("empty.yaml", "# nothing\n---\n")]);
  assert.deepEqual([empty.code, empty.stdout], [1, ""]);
  assert.match(empty.stderr, /^weft: There are no objects in "empty\.yaml"\. .*\(WEFT-L-NO-OBJECTS\)\n$/);
  const { code, stderr } = await weft(["validate"]);
  assert.equal(code, 2);
  assert.match(stderr, /For example: weft validate -f routes\.yaml\. \(WEFT-L-USAGE\)/);
});

test("validate: what a document says cannot move the cursor", async () => {
  const { stdout, stderr } = await weft(["validate", "-f", "-"], 'kind: "Mesh\\e[2J"\n"\\e[31m": 1\n');
  const introducer = String.fromCharCode(27);
  assert.ok(!`${stdout}${stderr}`.includes(introducer));
  assert.match(stderr, /\(WEFT-R-KIND-UNKNOWN\)/);
});

test("validate: input without an end is read up to the limit", async () => {
  const { code, stderr } = await weft(["validate", "-f", "/dev/zero"]);
  assert.equal(code, 1);
  assert.match(stderr, /all input together is over 64 MiB\. .*\(WEFT-R-TOO-LARGE\)/);
});

test("explain: the kinds, a kind, a field; a name in any case, with positions or without", async () => {
  const kinds = await weft(["explain"]);
  assert.match(kinds.stdout, /^KIND +NAMES +APIVERSION +NAMESPACED\nService +services, service, svc +v1 +true$/m);
  const kind = await weft(["explain", "svc"]);
  assert.match(kind.stdout, /^KIND: {5}Service\nVERSION: {2}v1\n\nDESCRIPTION:\n {4}A name that others call/);
  const field = await weft(["explain", "HTTPRoute.spec.rules[0].backendRefs"]);
  assert.match(field.stdout, /^FIELD: {4}spec\.rules\[\]\.backendRefs <\[\]object>$/m);
  assert.match(field.stdout, /^ {2}weight <integer>\n {6}Share of requests: .*0 sends none\. 0 to\n {6}1000000\. Default: 1\.$/ms);
  assert.match(field.stdout, /^ {2}name <string> required$/m);
  for (const line of field.stdout.split("\n")) assert.ok(line.length <= 100, line);
});

test("explain: for programs", async () => {
  const { stdout } = await weft(["explain", "mesh.spec.trustDomain", "-o", "json"]);
  assert.deepEqual(JSON.parse(stdout), {
    kind: "Mesh",
    apiVersion: "weft.dev/v1alpha1",
    path: "spec.trustDomain",
    type: "string",
    description: "First part of every identity, spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT (SPIFFE-ID, 2.1).",
    required: false,
    bounds: ['Default: "weft.local".'],
    refused: [],
    fields: [],
  });
});

test("explain: a mistyped kind or field is answered with what was meant", async () => {
  const cases: [string, RegExp][] = [
    ["htproute", /"htproute" is no kind\. Did you mean httproute\? /],
    ["httproute.spec.ruls", /"ruls" is no field of HTTPRoute's spec\. Did you mean rules\? Fields are parentRefs, hostnames, rules\. /],
    ["httproute.Spec", /"Spec" is no field of HTTPRoute\. Did you mean spec\? /],
    ["mesh.spec.trustDomain.x", /"x" is no field of Mesh's spec\.trustDomain\. It has no fields\. /],
  ];
  for (const [field, expected] of cases) {
    const { code, stderr } = await weft(["explain", field]);
    assert.equal(code, 2);
    assert.match(stderr, expected);
  }
});

test("no other command loads the kinds: they take longer than a whole call", async () => {
  const script = `
    import { registerHooks } from "node:module";
    registerHooks({ load(url, context, next) { if (/node_modules.(zod|yaml)|api.src.kinds/.test(url)) console.log(url); return next(url, context); } });
    await import(${JSON.stringify(join(repository, "packages/cli/src/program.ts"))});
    await import(${JSON.stringify(join(repository, "packages/cli/src/commands/stat.ts"))});`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], { stdio: ["ignore", "pipe", "inherit"] });
  const [loaded, [code]] = await Promise.all([text(child.stdout), once(child, "close")]);
  assert.deepEqual([code, loaded], [0, ""]);
});

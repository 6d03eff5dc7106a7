import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { kinds } from "@weft/api/kinds";
import { Mesh, Running, root, unavailable, until } from "@weft/testkit";
import { documentsOf } from "../packages/api/src/generate/files.ts";
import { fill } from "./disk.ts";

// Resources from the command line to the store and back: what people write is kept whole or not at all, and they are told which.

const service = (name: string, port = 80) => `apiVersion: v1
kind: Service
metadata: { name: ${name} }
spec: { ports: [{ port: ${port} }] }
`;

const slice = (of: string, address: string) => `apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: ${of}-1, labels: { kubernetes.io/service-name: ${of} } }
addressType: IPv4
endpoints: [{ addresses: [${address}] }]
ports: [{ port: 5432 }]
`;

const route = (name: string, weights: number[] = [90, 10], more = "") => `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: ${name} }
spec:
  parentRefs: [{ group: "", kind: Service, name: users }]
${more}  rules:
    - backendRefs:
${weights.map((weight, index) => `        - { name: users-${index}, port: 80, weight: ${weight} }\n`).join("")}`;

/** A mesh, in whose folder documents are written. */
async function start() {
  const mesh = await Mesh.start();
  const { folder } = mesh;
  return Object.assign(mesh, {
    write: (name: string, text: string | Uint8Array) => {
      mkdirSync(join(folder, name, ".."), { recursive: true });
      writeFileSync(join(folder, name), text);
    },
    /** Runs weft in the folder; it must succeed. Answers its standard output. */
    ok: async (...args: string[]) => {
      const { code, stdout, stderr } = await mesh.weft(args, { cwd: folder });
      assert.equal(code, 0, `${args.join(" ")}: ${stderr}`);
      return stdout;
    },
    /** Runs weft in the folder; it must fail with exit code 1 or another. Answers its standard error. */
    fails: async (args: string[], expected = 1) => {
      const { code, stderr, stdout } = await mesh.weft(args, { cwd: folder, timeoutMs: 120_000 });
      assert.equal(code, expected, `${args.join(" ")}: ${stdout}${stderr}`);
      return stderr;
    },
    /** All objects that there are, without what only the server says. */
    all: async (): Promise<{ kind: string; metadata: { name: string; resourceVersion: string } }[]> =>
      JSON.parse((await mesh.weft(["get", "all", "-A", "-o", "json"])).stdout).items,
  });
}

test("a folder is applied, applied again, changed, compared, shown in every form, and deleted", { timeout: 300_000 }, async () => {
  await using mesh = await start();
  mesh.write("mesh/route.yaml", route("users"));
  mesh.write("mesh/below/services.yaml", `${service("users")}---\n${service("db", 5432)}---\n${slice("db", "10.0.0.9")}`);
  const apply = (...args: string[]) => mesh.ok("apply", "-R", "-f", "mesh", ...args);
  const created = "service/users created\nservice/db created\nendpointslice/db-1 created\nhttproute/users created\n";
  assert.equal(await apply("--dry-run"), created.replaceAll("created", "created (dry run)"));
  assert.deepEqual(await mesh.all(), []);
  assert.equal(await apply(), created);
  const before = await mesh.all();
  assert.equal(await apply(), created.replaceAll("created", "unchanged"));
  assert.deepEqual(await mesh.all(), before, "nothing was written");
  assert.equal(await mesh.ok("diff", "-R", "-f", "mesh"), "");

  mesh.write("mesh/route.yaml", route("users", [50, 50]));
  const compared = await mesh.weft(["diff", "-R", "-f", "mesh"], { cwd: mesh.folder });
  assert.equal(compared.code, 1, compared.stderr);
  assert.match(compared.stdout, /^- +weight: 90\n\+ +weight: 50$/m);
  assert.equal(await apply(), created.replaceAll("created", "unchanged").replace(/unchanged\n$/, "configured\n"));

  assert.match(await mesh.ok("get", "svc"), /^NAME +ADDRESS +PORTS +AGE\ndb +198\.18\.\S+ +5432 +\d+s\nusers +198\.18\.\S+ +80 +\d+s\n$/);
  assert.match(await mesh.ok("get", "endpointslices"), /^NAME +SERVICE +ENDPOINTS +PORTS +AGE\ndb-1 +db +10\.0\.0\.9 +5432 +\d+s\n$/);
  assert.match(
    await mesh.ok("get", "httproute/users", "-o", "wide"),
    /^NAME +PARENTS +BACKENDS .*\nusers +users +users-0:80=50,users-1:80=50 /,
  );
  assert.equal(await mesh.ok("get", "httproute,svc", "-o", "name"), "httproute/users\nservice/db\nservice/users\n");
  const { spec } = JSON.parse(await mesh.ok("get", "HTTPRoute", "users", "-o", "json"));
  assert.deepEqual(
    spec.rules[0].backendRefs.map(({ weight }: { weight: number }) => weight),
    [50, 50],
  );
  // What get prints can be applied as it is.
  mesh.write("printed.yaml", await mesh.ok("get", "all", "-o", "yaml"));
  assert.doesNotMatch(await mesh.ok("apply", "-f", "printed.yaml"), /created/);
  assert.match(
    await mesh.ok("describe", "httproute/users"),
    /^httproute\/users\n {2}namespace +default\n.*what happened\n {2}\d+s ago +created/ms,
  );
  assert.match(await mesh.ok("events"), /^ *AGO +OBJECT +WHAT\n.*httproute\/users +created\n/ms);
  assert.match(await mesh.fails(["get", "httproute", "usrs"]), /no httproute\/usrs in namespace default\. Did you mean httproute\/users\?/);
  assert.match(await mesh.fails(["get", "htproute"], 2), /"htproute" is no kind\. Did you mean httproute\?/);

  assert.equal(
    await mesh.ok("delete", "-R", "-f", "mesh"),
    "httproute/users deleted\nendpointslice/db-1 deleted\nservice/db deleted\nservice/users deleted\n",
  );
  assert.deepEqual(await mesh.all(), []);
  assert.match(await mesh.fails(["delete", "-f", "mesh/route.yaml"]), /WEFT-C-OBJECT-UNKNOWN/);
  assert.equal(await mesh.ok("delete", "-f", "mesh/route.yaml", "--ignore-not-found"), "");
});

test("namespaces: a document's own, the command line's, and both when they contradict", { timeout: 300_000 }, async () => {
  await using mesh = await start();
  mesh.write("a.yaml", service("a"));
  mesh.write("b.yaml", service("b").replace("name: b", "name: b, namespace: team"));
  await mesh.ok("apply", "-f", "a.yaml", "-n", "team");
  await mesh.ok("apply", "-f", "b.yaml");
  assert.match(await mesh.fails(["apply", "-f", "b.yaml", "-n", "other"], 2), /Service b is in namespace team/);
  assert.equal(await mesh.ok("get", "svc", "-n", "team", "-o", "name"), "service/a\nservice/b\n");
  assert.match(await mesh.ok("get", "svc", "-A"), /^NAMESPACE +NAME .*\nteam +a .*\nteam +b /m);
  assert.match(await mesh.fails(["get", "svc", "a"]), /There is one in namespace team: `-n team`/);
});

test("two writers: what one does not say, the other keeps, and nobody's change is lost unseen", { timeout: 300_000 }, async () => {
  await using mesh = await start();
  mesh.write("a.yaml", route("users", [90, 10], "  hostnames: [users.example]\n"));
  await mesh.ok("apply", "-f", "a.yaml");
  const editor = (script: string) => {
    writeFileSync(join(mesh.folder, "editor"), `#!/bin/sh\nset -e\n${script}\n`);
    chmodSync(join(mesh.folder, "editor"), 0o700);
    return { cwd: mesh.folder, env: { ...mesh.env, VISUAL: "", EDITOR: join(mesh.folder, "editor") } };
  };
  const edit = (script: string) => mesh.weft(["edit", "httproute", "users"], editor(script));

  // Somebody sets a label by hand; a document that says less takes away its own field only.
  const labelled = await edit(`sed -i 's/^  namespace: default/&\\n  labels: { team: shop }/' "$1"`);
  assert.equal(labelled.stdout, "httproute/users edited\n", labelled.stderr);
  mesh.write("a.yaml", route("users", [50, 50]));
  assert.equal(await mesh.ok("apply", "-f", "a.yaml"), "httproute/users configured\n");
  const now = JSON.parse(await mesh.ok("get", "httproute/users", "-o", "json"));
  assert.deepEqual([now.metadata.labels, now.spec.hostnames, now.spec.rules[0].backendRefs[0].weight], [{ team: "shop" }, undefined, 50]);

  // A document that says on what it is based changes nothing else.
  mesh.write("based.yaml", route("users", [1, 1]).replace("name: users", 'name: users, resourceVersion: "1"'));
  assert.match(
    await mesh.fails(["apply", "-f", "based.yaml"]),
    /based\.yaml:1: httproute\/users: .*based on version 1 .*WEFT-C-OBJECT-CHANGED/,
  );

  // Somebody applies while an editor is open.
  mesh.write("meanwhile.yaml", route("users", [20, 80]));
  const overtaken = await edit(`sed -i 's/weight: 50/weight: 7/' "$1"; '${join(root, "bin/weft")}' apply -f meanwhile.yaml >&2`);
  assert.equal(overtaken.code, 1);
  assert.match(overtaken.stderr, /WEFT-C-OBJECT-CHANGED/);
  const [, kept = ""] = /Your text is in (\S+): mend it/.exec(overtaken.stderr) ?? [];
  assert.match(readFileSync(kept, "utf8"), /weight: 7/);
  rmSync(join(kept, ".."), { recursive: true });

  const broken = await edit(`sed -i 's/weight: 20/weigth: 20/' "$1"`);
  assert.equal(broken.code, 1);
  assert.match(broken.stderr, /httproute-users\.yaml:\d+:\d+: .*weigth: there is no such field\. Did you mean weight\?/);
  rmSync(join(/Your text is in (\S+): mend it/.exec(broken.stderr)?.[1] ?? "", ".."), { recursive: true });
  assert.match((await edit("exit 3")).stderr, /ended with exit code 3, so nothing was changed\..*WEFT-L-EDITOR-FAILED/);
  assert.match((await edit("true")).stderr, /Nothing was changed\./);

  // Ten at once: each merges with what it finds, and the last one's text is there in the end.
  for (let index = 0; index < 6; index++) mesh.write(`${index}.yaml`, route("users", [index, 100]));
  await Promise.all(Array.from({ length: 6 }, (_, index) => mesh.ok("apply", "-f", `${index}.yaml`)));
  const last = JSON.parse(await mesh.ok("get", "httproute/users", "-o", "json"));
  assert.ok(last.spec.rules[0].backendRefs[0].weight < 6);
  assert.deepEqual(last.metadata.labels, { team: "shop" });
});

test("what happens is told as it happens, by get -w, events -w and wait, through a restart of the controller", {
  timeout: 300_000,
}, async () => {
  await using mesh = await start();
  const weft = join(root, "bin/weft");
  const watching = (...args: string[]) => new Running(weft, args, { env: mesh.env, cwd: mesh.folder });
  mesh.write("a.yaml", route("users", [90, 10]));
  await mesh.ok("apply", "-f", "a.yaml");
  const rows = watching("get", "httproutes", "-w");
  const events = watching("events", "-w");
  const lines = watching("get", "httproutes", "-w", "-o", "json");
  const seen = (running: Running, pattern: RegExp) =>
    until(`${pattern}`, () => pattern.test(running.stdout), { diagnose: () => running.describe() });
  await seen(rows, /^NAME .*\nusers +users +users-0:80=90/);
  await seen(lines, /"users-0"/);
  // Told only from when it follows: so until then it is changed.
  await until("events are followed", async () => {
    await mesh.ok("apply", "-f", "a.yaml");
    mesh.write("probe.yaml", service(`probe-${Date.now()}`));
    await mesh.ok("apply", "-f", "probe.yaml");
    return events.stdout.includes("service/probe-");
  });
  mesh.write("a.yaml", route("users", [50, 10]));
  await mesh.ok("apply", "-f", "a.yaml");
  await seen(rows, /users-0:80=50/);
  await seen(events, /httproute\/users +spec\.rules\[0\]\.backendRefs\[0\]\.weight: 90 -> 50$/m);

  await mesh.killController();
  await until("it is said that the controller is away", () => rows.stderr.includes("Waiting for it"));
  await mesh.up();
  const gone = mesh.ok("wait", "httproute/users", "--for", "delete", "--timeout", "60s");
  await mesh.ok("delete", "httproute", "users");
  assert.equal(await gone, "httproute/users is gone\n");
  await seen(rows, /^httproute\/users deleted$/m);
  await seen(events, /httproute\/users +deleted$/m);
  for (const running of [rows, events, lines]) await running.stop();
  for (const line of lines.stdout.trimEnd().split("\n")) assert.equal(JSON.parse(line).kind, "HTTPRoute");
  const late = await mesh.fails(["wait", "httproute/users", "--for", "condition=Accepted", "--timeout", "1s"]);
  assert.match(late, /httproute\/users was waited for to have Accepted=True for 1 s: it is not there\..*WEFT-L-WAIT-TIMEOUT/);
});

/** Documents that have something wrong, by their files' names. */
function brokenDocuments(): Map<string, string | Uint8Array> {
  const refused = kinds.flatMap((kind) =>
    documentsOf(kind, "refused").map(({ name, text }) => [`${kind.singular}-${name}.yaml`, text] as const),
  );
  const valid = route("fine");
  return new Map<string, string | Uint8Array>([
    ...refused,
    ["unknown-kind.yaml", valid.replace("kind: HTTPRoute", "kind: HTTPRout")],
    ["no-object.yaml", "just a text\n"],
    ["list-of-nothing.yaml", "- 1\n- 2\n"],
    ["unclosed.yaml", "a: [1, 2\n"],
    ["tabs.yaml", "kind: HTTPRoute\nmetadata:\n\tname: a\n"],
    ["tabs-and-windows-line-ends.yaml", "kind: HTTPRoute\r\nmetadata:\r\n\tname: a\r\n"],
    ["no-utf8.yaml", Buffer.concat([Buffer.from(valid), Buffer.from([0xc3, 0x28, 0x0a])])],
    ["utf16.yaml", Buffer.from(valid, "utf16le")],
    ["bytes.yaml", Buffer.from([0, 1, 2, 3, 0xff, 0xfe])],
    ["key-twice.yaml", valid.replace("spec:", "spec: {}\nspec:")],
    ["alias-to-nothing.yaml", `${valid}x: *nothing\n`],
    ["alias-of-itself.yaml", "a: &a [*a]\n"],
    [
      "bomb.yaml",
      [
        "a: &a [x, x, x, x, x, x, x, x, x, x]",
        ...[..."bcdefghi"].map((name, index) => `${name}: &${name} [${Array(10).fill(`*${"abcdefgh"[index]}`).join(", ")}]`),
      ].join("\n"),
    ],
    ["deep.json", `${'{"a":'.repeat(20_000)}1${"}".repeat(20_000)}`],
    ["large.yaml", `${valid}# ${"x".repeat(2 * 1024 * 1024)}\n`],
    ["prototype.json", '{"__proto__": {"kind": "HTTPRoute"}, "constructor": 1}'],
    ["older-version.yaml", valid.replace("networking.k8s.io/v1", "networking.k8s.io/v1alpha2")],
    ["read-only.yaml", "apiVersion: weft.dev/v1alpha1\nkind: Workload\nmetadata: { name: a }\nspec: { service: a }\n"],
    ["twice.yaml", `${valid}---\n${valid}`],
    ["half.yaml", `${route("good")}---\n${route("bad").replace("weight: 90", "weight: many")}`],
  ]);
}

test("of broken documents every one is told with place, cause, remedy and code, and nothing is sent or harmed", {
  timeout: 300_000,
}, async () => {
  await using mesh = await start();
  mesh.write("good.yaml", `${service("users")}---\n${route("users")}`);
  await mesh.ok("apply", "-f", "good.yaml");
  const before = await mesh.all();
  const broken = brokenDocuments();
  assert.ok(broken.size >= 60, `${broken.size} documents`);
  for (const [name, text] of broken) mesh.write(`broken/${name}`, text);
  mesh.write("broken/a-new-one.yaml", service("innocent"));
  const said = (await mesh.fails(["apply", "-f", "broken"])).split("\n");
  for (const name of broken.keys()) {
    // Where, what, why, what to do, and a code.
    const form = new RegExp(`^weft: broken/${name.replaceAll(".", "\\.")}:\\d+(:\\d+)?: .+[.?] .+[.?\`)]? \\(WEFT-[A-Z]-[A-Z-]+\\)$`);
    assert.ok(
      said.some((line) => form.test(line)),
      `${name}: ${said.filter((line) => line.includes(name)).join("\n")}`,
    );
  }
  assert.ok(said.includes("Nothing was sent."));
  assert.deepEqual(await mesh.all(), before);
  assert.match(await mesh.fails(["diff", "-f", "broken"], 2), /Nothing was sent/);

  // One that is wrong among 5,000 keeps all of them away; without it they are there, each once.
  const many = Array.from({ length: 5_000 }, (_, index) => service(`s-${index}`));
  mesh.write("many.yaml", many.with(4_321, service("s-4321").replace("port: 80", "port: eighty")).join("---\n"));
  assert.match(
    await mesh.fails(["apply", "-f", "many.yaml"]),
    /^weft: many\.yaml:21609:25: Service s-4321: spec\.ports\[0\]\.port: it is "eighty"/,
  );
  assert.deepEqual(await mesh.all(), before);

  // What is taken though it does little: no object is wrong by itself.
  mesh.write("nothing.yaml", route("to-nothing", [0, 0]).replaceAll("users-", "nobody-"));
  const { code, stdout, stderr } = await mesh.weft(["apply", "-f", "nothing.yaml"], { cwd: mesh.folder });
  assert.deepEqual([code, stdout], [0, "httproute/to-nothing created\n"]);
  assert.match(stderr, /^weft: warning: nothing\.yaml:.*every weight is 0.*\(WEFT-R-NO-EFFECT\)$/m);
});

test("a controller that ends in the middle of an apply: what was made is said and kept, and applying again makes the rest", {
  timeout: 300_000,
}, async () => {
  await using mesh = await start();
  const count = 400;
  const services = Array.from({ length: count }, (_, index) => service(`s-${index}`));
  mesh.write("many.yaml", [...services, ...Array.from({ length: 20 }, (_, index) => route(`r-${index}`))].join("---\n"));
  const applying = new Running(join(root, "bin/weft"), ["apply", "-f", "many.yaml"], { env: mesh.env, cwd: mesh.folder });
  const made = async () => JSON.parse((await mesh.weft(["get", "svc", "-o", "json"])).stdout || '{"items":[]}').items.length;
  await until("some are made", async () => (await made()) > 10);
  await mesh.killController();
  const { code } = await applying.ended;
  assert.equal(code, 1, applying.describe());
  const [, said = ""] = /^(\d+) changes? (?:was|were) made before that\. Not made: service\/s-\d+, /m.exec(applying.stderr) ?? [];
  assert.match(applying.stderr, /\(WEFT-L-CONTROLLER-(NOT-RUNNING|UNREACHABLE)\)/);
  await mesh.up();
  const kept = await made();
  // Up to as many as were under way are there without having been said.
  assert.ok(Number(said) <= kept && kept <= Number(said) + 16, `${said} were said, ${kept} are there`);
  const again = await mesh.ok("apply", "-f", "many.yaml");
  assert.equal(again.match(/unchanged$/gm)?.length, kept);
  assert.equal(again.match(/created$/gm)?.length, count + 20 - kept);
});

test("a full disk refuses a change with a reason, shows everything, and takes it once there is room", { timeout: 300_000 }, async (t) => {
  if (process.getuid?.() !== 0) return unavailable(t, "a disk of its own needs root");
  await using mesh = await start();
  await mesh.weft(["down"]);
  rmSync(mesh.state, { recursive: true });
  execFileSync("mkdir", ["-m", "700", mesh.state]);
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=6m,mode=700", "weft-test", mesh.state]);
  try {
    await mesh.up();
    mesh.write("a.yaml", service("users"));
    mesh.write("b.yaml", Array.from({ length: 20 }, (_, index) => service(`b-${index}`)).join("---\n"));
    await mesh.ok("apply", "-f", "a.yaml");
    const filler = join(mesh.state, "filler");
    fill(filler, mesh.state);
    const refused = await mesh.fails(["apply", "-f", "b.yaml"]);
    assert.match(refused, /^weft: b\.yaml:\d+: service\/b-\d+: .*Free space.*\(WEFT-C-(STORE|REGISTRY)-UNWRITABLE\)$/m);
    assert.match(refused, /^0 changes were made before that\./m);
    assert.equal(await mesh.ok("get", "svc", "-o", "name"), "service/users\n");
    assert.match(await mesh.fails(["backup", join(mesh.folder, "full.backup")]), /WEFT-C-STORE-UNWRITABLE/);
    rmSync(filler);
    assert.equal((await mesh.ok("apply", "-f", "b.yaml")).match(/created$/gm)?.length, 20);
  } finally {
    await mesh.stop();
    execFileSync("umount", ["-l", mesh.state]);
  }
});

test("a backup is made while the controller runs, and restored while none does", { timeout: 300_000 }, async (t: TestContext) => {
  await using mesh = await start();
  mesh.write("a.yaml", `${service("users")}---\n${route("users")}`);
  await mesh.ok("apply", "-f", "a.yaml");
  await mesh.ok("backup", "mesh.backup");
  const kept = await mesh.all();
  assert.match(await mesh.fails(["backup", "mesh.backup"]), /"mesh\.backup" is there already\..*WEFT-L-FILE-PRESENT/);
  const copy = execFileSync(join(root, "bin/weft"), ["backup", "-"], { env: mesh.env, cwd: mesh.folder });
  assert.deepEqual(copy, readFileSync(join(mesh.folder, "mesh.backup")));
  await mesh.ok("delete", "-f", "a.yaml");
  assert.match(await mesh.fails(["restore", "mesh.backup", "--yes"]), /A controller runs on .* End it by `weft down`/);
  await mesh.ok("down");
  assert.match(await mesh.fails(["restore", "mesh.backup"]), /WEFT-C-STORE-PRESENT/);
  mesh.write("damaged.backup", copy.subarray(0, copy.length / 2));
  assert.match(await mesh.fails(["restore", "damaged.backup", "--yes"]), /WEFT-C-STORE-DAMAGED/);
  const { stderr } = await mesh.weft(["restore", "mesh.backup", "--yes"], { cwd: mesh.folder });
  const [, aside = ""] = /What was there is in (\S+)\. /.exec(stderr) ?? [];
  t.diagnostic(stderr);
  assert.ok(readFileSync(aside).length > 0);
  await mesh.up();
  assert.deepEqual(await mesh.all(), kept);
});

test("apply --wait ends when a route is in force; what keeps it from that is said, in wait, describe and events", {
  timeout: 300_000,
}, async () => {
  await using mesh = await start();
  mesh.write("mesh.yaml", [service("users"), service("users-0"), route("users")].join("---\n"));
  const refused = await mesh.fails(["apply", "-f", "mesh.yaml", "--wait"]);
  assert.match(
    refused,
    /^weft: httproute\/users is not in force: BackendNotFound: .*There is no Service users-1.*\(WEFT-L-NOT-IN-FORCE\)$/m,
  );
  assert.match(await mesh.ok("get", "httproutes"), /BackendNotFound/);
  assert.match(await mesh.ok("describe", "httproute/users"), /^ {2}not ResolvedRefs for service\/users \(BackendNotFound\): /m);
  mesh.write("rest.yaml", service("users-1"));
  await mesh.ok("apply", "-f", "rest.yaml");
  assert.equal(await mesh.ok("wait", "httproute/users"), "httproute/users is in force\n");
  assert.match(await mesh.ok("get", "httproutes"), /in force on 0 of 0 proxies/);
  assert.match(await mesh.ok("events", "httproute/users"), /ResolvedRefs for service\/users: /);
  assert.equal(
    await mesh.ok("apply", "-f", "mesh.yaml", "--wait"),
    "service/users unchanged\nservice/users-0 unchanged\nhttproute/users unchanged\n",
  );
});

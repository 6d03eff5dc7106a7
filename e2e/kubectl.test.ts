import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, type TestContext, test } from "node:test";
import { kinds } from "@weft/api/kinds";
import { type Ended, execute, Mesh, need, Running, until } from "@weft/testkit";
import { documentsOf } from "../packages/api/src/generate/files.ts";

// An unmodified kubectl works on a laptop's controller, with the kubeconfig that weft prints.

let mesh: Mesh;
let config: string;
/** A folder of documents, as people keep them. */
let folder: string;
before(async () => {
  mesh = await Mesh.start();
  config = join(mesh.folder, "kubeconfig");
  const { code, stdout, stderr } = await mesh.weft(["kubeconfig"]);
  assert.equal(code, 0, stderr);
  writeFileSync(config, stdout, { mode: 0o600 });
  folder = join(mesh.folder, "shop");
  mkdirSync(folder);
  for (const kind of kinds.filter(({ readOnly }) => !readOnly)) {
    for (const { name, text } of documentsOf(kind, "examples"))
      if (name !== "written-back") writeFileSync(join(folder, `${kind.singular}-${name}.yaml`), text);
  }
});
after(() => mesh[Symbol.asyncDispose]());

/** Files of documents by name, made for one test. */
function file(name: string, content: object): string {
  const path = join(mesh.folder, name);
  writeFileSync(path, JSON.stringify(content));
  return path;
}

/** What runs kubectl; undefined, and the test skipped, where there is none. */
function kubectl(t: TestContext) {
  const programs = need(t, "kubectl");
  if (programs === undefined) return undefined;
  const env = { ...mesh.env, KUBECONFIG: config };
  const ended = (args: string[], more: Record<string, string> = {}): Promise<Ended> =>
    execute(programs.kubectl, args, { env: { ...env, ...more } });
  return {
    ended,
    /** What it prints, when it succeeds. */
    async prints(...args: string[]): Promise<string> {
      const { code, stdout, stderr } = await ended(args);
      assert.equal(code, 0, `kubectl ${args.join(" ")}: ${stdout}${stderr}`);
      return stdout;
    },
    /** What it says, when it fails. */
    async complains(...args: string[]): Promise<string> {
      const { code, stdout, stderr } = await ended(args);
      assert.notEqual(code, 0, `kubectl ${args.join(" ")}: ${stdout}`);
      return stderr;
    },
    starts: (...args: string[]) => new Running(programs.kubectl, args, { env }),
  };
}

const service = (name: string, more: object = {}) => ({
  apiVersion: "v1",
  kind: "Service",
  metadata: { name, ...more },
  spec: { ports: [{ name: "http", port: 80 }] },
});

test("it finds the kinds that there are, their short names and what can be done with them", async (t) => {
  const k = kubectl(t);
  if (!k) return;
  const resources = await k.prints("api-resources", "-o", "wide");
  assert.match(
    resources,
    /^httproutes +gateway\.networking\.k8s\.io\/v1 +true +HTTPRoute +create,delete,deletecollection,get,list,patch,update,watch/m,
  );
  assert.match(resources, /^workloads +wl +weft\.dev\/v1alpha1 +true +Workload +get,list,watch/m);
  assert.match(await k.prints("version"), /Server Version: v1\.\d+\.0\+weft-/);
  assert.match(
    await k.prints("explain", "httproute.spec.rules"),
    /FIELD: rules <\[\]Object>[\s\S]*backendRefs\t<\[\]Object>\n +Where matching requests go/,
  );
});

test("a folder is applied, shown as tables and as YAML, described and deleted", async (t) => {
  const k = kubectl(t);
  if (!k) return;
  const created = await k.prints("apply", "-f", folder);
  assert.equal(created.match(/ created$/gm)?.length, created.trimEnd().split("\n").length, created);
  assert.match(await k.prints("apply", "-f", join(folder, "service-two-ports.yaml")), /service\/users unchanged/);
  assert.match(
    await k.prints("get", "svc"),
    /^NAME +TYPE +CLUSTER-IP +EXTERNAL-IP +PORT\(S\) +AGE\nusers +ClusterIP +198\.18\.\S+ +<none> +80\/TCP,9000\/TCP +\d/,
  );
  const routes = await k.prints("get", "httproutes", "-A", "-o", "wide");
  assert.match(
    routes,
    /^NAMESPACE +NAME +PARENTS .*BACKENDS\ndefault +users +Service\/users .*users-next:80,users:80=95,users-next:80=5$/m,
  );
  assert.match(
    await k.prints("get", "httproute", "users", "-o", "yaml"),
    /^ {4}- group: ""\n {6}kind: Service\n {6}name: users\n {6}port: 80\n {6}weight: 95$/m,
  );
  assert.match(await k.prints("get", "ns"), /^shop +Active/m);
  assert.match(await k.prints("describe", "httproute", "users"), /Kind: +HTTPRoute[\s\S]*Weight: +95/);
  assert.match(await k.prints("describe", "svc", "orders-db", "-n", "shop"), /Endpoints: +10\.20\.0\.7:5432/);
  assert.match(
    await k.prints("get", "svc,httproutes", "-l", "team=front", "-A", "-o", "name"),
    /^httproute\.gateway\.networking\.k8s\.io\/shop\n$/,
  );
  assert.match(await k.prints("delete", "-f", folder), /httproute\.gateway\.networking\.k8s\.io "users" deleted/);
  assert.equal(await k.prints("get", "svc,endpointslices,httproutes,grpcroutes,meshes", "-A", "-o", "name"), "");
});

test("what changes is seen as it changes", async (t) => {
  const k = kubectl(t);
  if (!k) return;
  await k.prints("create", "-f", file("watched.json", service("watched")));
  const watching = k.starts(
    "get",
    "svc",
    "watched",
    "-w",
    "--output-watch-events",
    "-o",
    'jsonpath={.type} {.object.metadata.labels.step}{"\\n"}',
  );
  try {
    await until("the service is shown", () => watching.stdout.includes("ADDED"));
    for (const step of ["one", "two"]) await k.prints("label", "svc", "watched", `step=${step}`, "--overwrite");
    await k.prints("delete", "svc", "watched");
    await until("its end is shown", () => watching.stdout.includes("DELETED"), { diagnose: () => watching.describe() });
    assert.equal(watching.stdout, "ADDED \nMODIFIED one\nMODIFIED two\nDELETED two\n");
  } finally {
    await watching.stop();
  }
});

test("objects are patched, labelled, annotated and edited", async (t) => {
  const k = kubectl(t);
  if (!k) return;
  await k.prints("apply", "-f", join(folder, "httproute-canary.yaml"), "-f", join(folder, "service-two-ports.yaml"));
  const ports = () => k.prints("get", "svc", "users", "-o", "jsonpath={.spec.ports[*].targetPort} {.spec.ports[*].port}");
  await k.prints("patch", "svc", "users", "-p", JSON.stringify({ spec: { ports: [{ port: 80, targetPort: 8081 }] } }));
  assert.equal(await ports(), "8081 80 9000", "lists of Kubernetes' own kinds are merged");
  await k.prints("patch", "svc", "users", "--type=json", "-p", JSON.stringify([{ op: "remove", path: "/spec/ports/1" }]));
  assert.equal(await ports(), "8081 80");
  assert.match(await k.complains("patch", "httproute", "users", "-p", "{}"), /--type=merge/);
  await k.prints("patch", "httproute", "users", "--type=merge", "-p", JSON.stringify({ metadata: { labels: { team: "front" } } }));
  await k.prints("annotate", "httproute", "users", "note=weights of Friday");
  const { code, stderr } = await k.ended(["edit", "httproute", "users"], { KUBE_EDITOR: "sed -i s/95/50/" });
  assert.equal(code, 0, stderr);
  const route = JSON.parse(await k.prints("get", "httproute", "users", "-o", "json"));
  assert.deepEqual(
    [route.metadata.labels.team, route.metadata.annotations.note, route.spec.rules[1].backendRefs[0].weight],
    ["front", "weights of Friday", 50],
  );
  await k.prints("delete", "httproute/users", "svc/users");
});

test("a dry run and a diff show what would change, and change nothing", async (t) => {
  const k = kubectl(t);
  if (!k) return;
  const route = join(folder, "httproute-canary.yaml");
  assert.match(await k.prints("apply", "--dry-run=server", "-f", route), /created \(server dry run\)/);
  assert.equal(await k.prints("get", "httproutes", "-o", "name"), "");
  await k.prints("apply", "-f", join(folder, "service-two-ports.yaml"));
  const changed = file("changed.json", { ...service("users"), spec: { ports: [{ name: "http", port: 80, targetPort: 9090 }] } });
  assert.match(await k.prints("apply", "--dry-run=server", "-o", "jsonpath={.spec.ports[*].targetPort}", "-f", changed), /^9090$/);
  const { code, stdout } = await k.ended(["diff", "-f", changed]);
  assert.equal(code, 1, stdout);
  assert.match(stdout, /^- {4}targetPort: 8080$/m);
  assert.match(stdout, /^\+ {4}targetPort: 9090$/m);
  assert.equal(await k.prints("get", "svc", "users", "-o", "jsonpath={.spec.ports[0].targetPort}"), "8080");
  await k.prints("delete", "svc", "users");
});

test("what is wrong is refused with its path and what was meant, and nothing is kept", async (t) => {
  const k = kubectl(t);
  if (!k) return;
  const wrong = file("wrong.json", {
    apiVersion: "gateway.networking.k8s.io/v1",
    kind: "HTTPRoute",
    metadata: { name: "wrong" },
    spec: { rules: [{ backendRef: [{ name: "users", port: 80 }] }] },
  });
  for (const command of ["apply", "create"]) {
    const said = await k.complains(command, "-f", wrong);
    assert.match(said, /spec\.rules\[0\]\.backendRef: .*there is no such field\. Did you mean backendRefs\? \(WEFT-R-FIELD-UNKNOWN\)/);
  }
  assert.equal(await k.prints("get", "httproutes", "-o", "name"), "");
});

test("it waits for conditions, and for the end of what finalizers keep", async (t) => {
  const k = kubectl(t);
  if (!k) return;
  await k.prints("create", "-f", file("waited.json", service("waited", { finalizers: ["example.com/hold"] })));
  const ready = k.starts("wait", "--for=condition=Ready", "svc/waited", "--timeout=30s");
  const conditions = [{ type: "Ready", status: "True", reason: "Ready", message: "", lastTransitionTime: "2026-11-02T09:30:01Z" }];
  await k.prints("patch", "svc", "waited", "--subresource=status", "--type=merge", "-p", JSON.stringify({ status: { conditions } }));
  assert.match((await ready.ended).stdout, /condition met/);
  const gone = k.starts("delete", "svc", "waited");
  await until("it is marked", async () => (await k.prints("get", "svc", "waited", "-o", "jsonpath={.metadata.deletionTimestamp}")) !== "");
  assert.equal(gone.isOver, false);
  await k.prints("patch", "svc", "waited", "--type=merge", "-p", JSON.stringify({ metadata: { finalizers: null } }));
  assert.equal((await gone.ended).code, 0);
});

test("of two writers, the one who read before the other wrote is refused", async (t) => {
  const k = kubectl(t);
  if (!k) return;
  await k.prints("create", "-f", file("contested.json", service("contested")));
  const read = JSON.parse(await k.prints("get", "svc", "contested", "-o", "json"));
  await k.prints("label", "svc", "contested", "by=another");
  const said = await k.complains("replace", "-f", file("late.json", { ...read, metadata: { ...read.metadata, labels: { by: "me" } } }));
  assert.match(said, /\(Conflict\).*Read it again, and repeat the change\. \(WEFT-C-OBJECT-CHANGED\)/);
  assert.equal(await k.prints("get", "svc", "contested", "-o", "jsonpath={.metadata.labels.by}"), "another");
  await k.prints("delete", "svc", "--all");
});

test("what is not done is refused with a word on what to do", async (t) => {
  const k = kubectl(t);
  if (!k) return;
  assert.match(
    await k.complains("apply", "--server-side", "-f", join(folder, "service-two-ports.yaml")),
    /Use `kubectl apply` without --server-side/,
  );
  assert.match(await k.complains("create", "namespace", "shop"), /a namespace is there as soon as something is in it/);
  const workload = file("workload.json", {
    apiVersion: "weft.dev/v1alpha1",
    kind: "Workload",
    metadata: { name: "w-1" },
    spec: { service: "users" },
  });
  assert.match(await k.complains("create", "-f", workload), /written by the controller alone.*weft run/);
});

test("without the token nobody gets in, and one that was revoked is none", async (t) => {
  const k = kubectl(t);
  if (!k) return;
  assert.match(await k.complains("get", "svc", "--token=none"), /Unauthorized|must be logged in/);
  assert.equal((await mesh.weft(["kubeconfig", "--revoke"])).code, 0);
  assert.match(await k.complains("get", "svc"), /refused/);
  writeFileSync(config, (await mesh.weft(["kubeconfig", "-o", "json"])).stdout);
  await k.prints("get", "svc");
});

test("weft apply and kubectl apply take turns with one object: each knows what the other one applied", async (t) => {
  const k = kubectl(t);
  if (!k) return;
  const route = (spec: object) => ({
    apiVersion: "gateway.networking.k8s.io/v1",
    kind: "HTTPRoute",
    metadata: { name: "mixed", namespace: "default" },
    spec: { ...spec, rules: [{ backendRefs: [{ name: "mixed", port: 80 }] }] },
  });
  const both = file("both.json", route({ hostnames: ["mixed.example"] }));
  const less = file("less.json", route({}));
  const weft = async (path: string) => {
    const { code, stdout, stderr } = await mesh.weft(["apply", "-f", path]);
    assert.equal(code, 0, stderr);
    return stdout;
  };
  const hostnames = async () => JSON.parse(await k.prints("get", "httproute", "mixed", "-o", "json")).spec.hostnames;

  assert.equal(await weft(both), "httproute/mixed created\n");
  const { code, stderr } = await k.ended(["apply", "-f", less]);
  assert.deepEqual([code, stderr], [0, ""]);
  assert.equal(await hostnames(), undefined, "kubectl takes away what weft applied");

  await k.prints("apply", "-f", both);
  assert.deepEqual(await hostnames(), ["mixed.example"]);
  assert.equal(await weft(both), "httproute/mixed configured\n", "kubectl notes the same document in its own way");
  assert.equal(await weft(both), "httproute/mixed unchanged\n");
  await k.prints("apply", "-f", both);
  assert.equal(await weft(less), "httproute/mixed configured\n");
  assert.equal(await hostnames(), undefined, "weft takes away what kubectl applied");
  await k.prints("delete", "httproute", "mixed");
});

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { running } from "../testing/controllers.ts";
import { resourceClient } from "../testing/resources.ts";

const services = "/api/v1/namespaces/default/services";
const routes = "/apis/gateway.networking.k8s.io/v1/namespaces/default/httproutes";
const merge = "application/merge-patch+json";

const service = (name: string, more: object = {}) => ({
  apiVersion: "v1",
  kind: "Service",
  metadata: { name, ...more },
  spec: { ports: [{ port: 80 }] },
});

const route = (weight: number, metadata: object = { name: "users" }) => ({
  apiVersion: "gateway.networking.k8s.io/v1",
  kind: "HTTPRoute",
  metadata,
  spec: {
    parentRefs: [{ group: "", kind: "Service", name: "users" }],
    rules: [{ backendRefs: [{ name: "users", port: 80, weight }] }],
  },
});

async function client(t: TestContext) {
  const { stateDir } = await running(t);
  return resourceClient(stateDir);
}

test("an object is made, read, changed and deleted", async (t) => {
  const { call } = await client(t);
  const made = await call("POST", routes, { body: route(90) });
  assert.equal(made.code, 201);
  assert.deepEqual([made.body.metadata.namespace, made.body.metadata.generation], ["default", 1]);
  assert.equal(made.body.spec.rules[0].matches[0].path.value, "/", "defaults are filled in");
  const list = await call("GET", "/apis/gateway.networking.k8s.io/v1/httproutes");
  assert.deepEqual([list.body.kind, list.body.items], ["HTTPRouteList", [made.body]]);
  const changed = await call("PUT", `${routes}/users`, { body: route(50, made.body.metadata) });
  assert.deepEqual([changed.code, changed.body.metadata.generation], [200, 2]);
  assert.equal(changed.body.spec.rules[0].backendRefs[0].weight, 50);
  assert.deepEqual((await call("GET", `${routes}/users`)).body, changed.body);
  const deleted = await call("DELETE", `${routes}/users`);
  assert.deepEqual([deleted.code, deleted.body.status, deleted.body.details.uid], [200, "Success", made.body.metadata.uid]);
  const gone = await call("GET", `${routes}/users`);
  assert.deepEqual([gone.code, gone.body.reason, gone.body.details.causes[0].reason], [404, "NotFound", "WEFT-C-OBJECT-UNKNOWN"]);
});

test("of two changes that are based on the same version, the second is refused, and tells what to do", async (t) => {
  const { call } = await client(t);
  const { body } = await call("POST", routes, { body: route(90) });
  assert.equal((await call("PUT", `${routes}/users`, { body: route(10, body.metadata) })).code, 200);
  for (const [method, change, type] of [
    ["PUT", route(20, body.metadata), "application/json"],
    ["PATCH", { metadata: { resourceVersion: body.metadata.resourceVersion, labels: { a: "b" } } }, merge],
    ["PATCH", [{ op: "test", path: "/metadata/resourceVersion", value: body.metadata.resourceVersion }], "application/json-patch+json"],
  ] as const) {
    const answer = await call(method, `${routes}/users`, { body: change, type });
    assert.ok(answer.code === 409 || answer.code === 400, JSON.stringify(answer.body));
    if (answer.code === 409) assert.match(answer.body.message, /Read it again.*WEFT-C-OBJECT-CHANGED/);
  }
  const exists = await call("POST", routes, { body: route(90) });
  assert.deepEqual([exists.code, exists.body.reason], [409, "AlreadyExists"]);
});

test("changes that name no version are made of whatever there is, and none is lost", async (t) => {
  const { call } = await client(t);
  await call("POST", services, { body: service("users") });
  const answers = await Promise.all(
    Array.from({ length: 8 }, (_, index) =>
      call("PATCH", `${services}/users`, { type: merge, body: { metadata: { labels: { [`l${index}`]: "x" } } } }),
    ),
  );
  assert.deepEqual([...new Set(answers.map(({ code }) => code))], [200]);
  assert.equal(Object.keys((await call("GET", `${services}/users`)).body.metadata.labels).length, 8);
});

test("what is wrong with an object is told with its path, its cause, the remedy and a stable code", async (t) => {
  const { call } = await client(t);
  const wrong = route(1);
  Object.assign(wrong.spec.rules[0] as object, { backendRef: [] });
  const { code, body } = await call("POST", routes, { body: wrong });
  assert.deepEqual(
    [code, body.kind, body.reason, body.details.group, body.details.kind],
    [422, "Status", "Invalid", "gateway.networking.k8s.io", "httproutes"],
  );
  const [cause] = body.details.causes;
  assert.deepEqual([cause.field, cause.reason], ["spec.rules[0].backendRef", "WEFT-R-FIELD-UNKNOWN"]);
  assert.match(cause.message, /Did you mean backendRefs\?/);
  assert.match(body.message, /^HTTPRoute "users" is invalid: spec\.rules\[0\]\.backendRef: there is no such field/);
});

test("bodies, paths, queries and forms that mean nothing are refused", async (t) => {
  const { call } = await client(t);
  await call("POST", services, { body: service("users") });
  const refused: [code: number, method: string, path: string, asked?: Parameters<typeof call>[2]][] = [
    [400, "POST", services, { body: "{" }],
    [400, "POST", services, { body: [] }],
    [400, "POST", services, { body: { metadata: 1 } }],
    [400, "POST", services, { body: route(1) }],
    [400, "POST", services, { body: service("a", { namespace: "other" }) }],
    [400, "POST", services, { body: service("a", { resourceVersion: "1" }) }],
    [400, "PUT", `${services}/users`, { body: service("other") }],
    [404, "PUT", `${services}/none`, { body: service("none") }],
    [422, "POST", services, { body: { ...service("a"), metadata: {} } }],
    [422, "POST", "/api/v1/namespaces/No_Label/services", { body: service("a") }],
    [415, "POST", services, { body: service("a"), type: "application/yaml" }],
    [415, "PATCH", `${routes}/users`, { body: "{}", type: "application/apply-patch+yaml" }],
    [413, "POST", services, { body: service("a", { annotations: { a: "x".repeat(2_000_000) } }) }],
    [400, "POST", `${services}?dryRun=Some`, { body: service("a") }],
    [400, "GET", `${services}?labelSelector=%3D`],
    [400, "GET", `${services}?fieldSelector=spec.type%3DClusterIP`],
    [400, "GET", `${services}?watch=true&resourceVersion=abc`],
    [400, "GET", `${services}?watch=true&timeoutSeconds=-1`],
    [406, "GET", services, { accept: "application/yaml" }],
    [405, "POST", "/api/v1/services", { body: service("a") }],
    [405, "POST", "/api"],
    [404, "GET", "/apis/batch/v1/jobs"],
    [404, "GET", "/api/v1/namespaces/default/pods"],
    [404, "GET", "/api/v1/namespaces/default/meshes"],
    [404, "GET", "/openapi/v2"],
  ];
  await call("POST", routes, { body: route(1) });
  for (const [code, method, path, asked] of refused) {
    const answer = await call(method, path, asked);
    assert.deepEqual(
      [answer.code, answer.body.kind, answer.body.code],
      [code, "Status", code],
      `${method} ${path}: ${answer.body.message}`,
    );
    assert.match(answer.body.message, /WEFT-[CR]-/, "it has a code");
  }
  assert.equal((await call("GET", services)).body.items.length, 1, "and nothing was changed");
});

test("a dry run answers what would be, and changes nothing", async (t) => {
  const { call } = await client(t);
  const made = await call("POST", `${services}?dryRun=All`, { body: service("users") });
  assert.deepEqual([made.code, made.body.spec.type, made.body.spec.clusterIP], [201, "ClusterIP", undefined]);
  assert.equal((await call("GET", `${services}/users`)).code, 404);
  const { body } = await call("POST", services, { body: service("users") });
  const patched = await call("PATCH", `${services}/users?dryRun=All`, { type: merge, body: { spec: { ports: [{ port: 81 }] } } });
  assert.deepEqual([patched.code, patched.body.spec.ports[0].port, patched.body.metadata.generation], [200, 81, 2]);
  assert.equal((await call("POST", `${services}?dryRun=All`, { body: service("users") })).code, 409);
  assert.equal((await call("DELETE", `${services}/users?dryRun=All`)).code, 200);
  assert.equal((await call("DELETE", `${services}/users`, { body: { dryRun: ["All"] } })).code, 200);
  assert.deepEqual((await call("GET", `${services}/users`)).body, body);
});

test("the status is written apart from everything else", async (t) => {
  const { call } = await client(t);
  const { body } = await call("POST", services, { body: { ...service("users"), status: { loadBalancer: {} } } });
  assert.equal(body.status, undefined);
  const conditions = [{ type: "Ready", status: "True", reason: "Ready", message: "", lastTransitionTime: "2026-11-02T09:30:01Z" }];
  const written = await call("PUT", `${services}/users/status`, { body: { ...body, spec: { ports: [] }, status: { conditions } } });
  assert.deepEqual([written.body.status.conditions[0].type, written.body.spec], ["Ready", body.spec]);
  assert.equal(written.body.metadata.generation, 1);
  const bad = await call("PATCH", `${services}/users/status`, { type: merge, body: { status: { phase: "Up" } } });
  assert.deepEqual([bad.code, bad.body.details.causes[0].field], [422, "status.phase"]);
  const kept = await call("PUT", `${services}/users`, { body: service("users", { labels: { a: "b" } }) });
  assert.deepEqual(kept.body.status, written.body.status);
});

test("an object with finalizers is marked when it is deleted, and goes with the last of them", async (t) => {
  const { call } = await client(t);
  await call("POST", services, { body: service("users", { finalizers: ["example.com/hold"] }) });
  const { code, body } = await call("DELETE", `${services}/users`);
  assert.deepEqual([code, body.kind], [200, "Service"]);
  assert.match(body.metadata.deletionTimestamp, /^\d{4}-/);
  assert.deepEqual((await call("DELETE", `${services}/users`)).body, body, "a second time changes nothing");
  const kept = await call("PATCH", `${services}/users`, {
    type: merge,
    body: { metadata: { deletionTimestamp: null, labels: { a: "b" } } },
  });
  assert.equal(kept.body.metadata.deletionTimestamp, body.metadata.deletionTimestamp, "nobody takes the mark away");
  assert.equal((await call("PATCH", `${services}/users`, { type: merge, body: { metadata: { finalizers: null } } })).code, 200);
  assert.equal((await call("GET", `${services}/users`)).code, 404);
});

test("a deletion is of the object and version that it names", async (t) => {
  const { call } = await client(t);
  const { body } = await call("POST", services, { body: service("users") });
  const deletion = (preconditions: object) =>
    call("DELETE", `${services}/users`, { body: { propagationPolicy: "Foreground", preconditions } });
  assert.equal((await deletion({ uid: "another" })).code, 409);
  assert.equal((await deletion({ resourceVersion: "0" })).code, 409);
  assert.equal((await deletion({ uid: 1 })).code, 400);
  assert.equal((await deletion({ uid: body.metadata.uid, resourceVersion: body.metadata.resourceVersion })).code, 200);
});

test("a collection is deleted as far as it is selected", async (t) => {
  const { call } = await client(t);
  for (const name of ["a", "b", "c"]) await call("POST", services, { body: service(name, { labels: { keep: String(name === "b") } }) });
  const { body } = await call("DELETE", `${services}?labelSelector=keep%3Dfalse`);
  assert.deepEqual(
    body.items.map((each: { metadata: { name: string } }) => each.metadata.name),
    ["a", "c"],
  );
  assert.deepEqual((await call("GET", services)).body.items.length, 1);
});

test("a name is made up for an object that has only the begin of one", async (t) => {
  const { call } = await client(t);
  const { generateName, name } = (await call("POST", services, { body: service("", { generateName: "users-" }) })).body.metadata;
  assert.match(name, /^users-[a-z0-9]{5}$/);
  assert.equal(generateName, "users-");
});

test("a Service gets an address for good, and one that a person changes is theirs", async (t) => {
  const { call } = await client(t);
  const labels = { "app.kubernetes.io/managed-by": "weft" };
  const { spec, metadata } = (await call("POST", services, { body: service("users", { labels }) })).body;
  assert.match(spec.clusterIP, /^198\.18\./);
  assert.deepEqual([spec.clusterIPs, metadata.labels], [[spec.clusterIP], {}]);
  const replaced = await call("PUT", `${services}/users`, { body: service("users") });
  assert.equal(replaced.body.spec.clusterIP, spec.clusterIP);
  const other = await call("POST", services, { body: service("others") });
  assert.notEqual(other.body.spec.clusterIP, spec.clusterIP);
  const headless = { ...service("headless"), spec: { clusterIP: "None" } };
  assert.equal((await call("POST", services, { body: headless })).body.spec.clusterIP, "None");
});

test("what a document says of itself without effect is a warning", async (t) => {
  const { call } = await client(t);
  const slice = { apiVersion: "discovery.k8s.io/v1", kind: "EndpointSlice", metadata: { name: "db" }, addressType: "IPv4", endpoints: [] };
  const { code, warning } = await call("POST", "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices", { body: slice });
  assert.equal(code, 201);
  assert.match(warning ?? "", /^299 - ".*kubernetes\.io\/service-name is missing.*WEFT-R-NO-EFFECT/);
});

test("what the controller alone writes is read only, and the refusal says what to do", async (t) => {
  const { call } = await client(t);
  const workloads = "/apis/weft.dev/v1alpha1/namespaces/default/workloads";
  for (const [method, path] of [
    ["POST", workloads],
    ["DELETE", workloads],
    ["PUT", `${workloads}/w-1`],
    ["PATCH", `${workloads}/w-1`],
    ["DELETE", `${workloads}/w-1`],
    ["POST", "/api/v1/namespaces"],
    ["DELETE", "/api/v1/namespaces/default"],
  ] as const) {
    const { code, body } = await call(method, path, { body: {} });
    assert.deepEqual([code, body.reason], [405, "MethodNotAllowed"], `${method} ${path}`);
    assert.match(body.message, /WEFT-C-OBJECT-READ-ONLY/);
  }
  assert.equal((await call("GET", workloads)).code, 200);
});

test("a namespace is there as soon as something is in it", async (t) => {
  const { call } = await client(t);
  const names = async () =>
    (await call("GET", "/api/v1/namespaces")).body.items.map((each: { metadata: { name: string } }) => each.metadata.name);
  assert.deepEqual(await names(), ["default"]);
  assert.equal((await call("GET", "/api/v1/namespaces/shop")).code, 404);
  await call("POST", "/api/v1/namespaces/shop/services", { body: service("users") });
  assert.deepEqual(await names(), ["default", "shop"]);
  assert.equal((await call("GET", "/api/v1/namespaces/shop")).body.status.phase, "Active");
});

test("lists are selected by labels and names", async (t) => {
  const { call } = await client(t);
  for (const [name, labels] of Object.entries({ a: { app: "shop", tier: "1" }, b: { app: "shop" }, c: { app: "bank" } }))
    await call("POST", services, { body: service(name, { labels }) });
  const selected: [query: string, names: string][] = [
    ["labelSelector=app=shop", "ab"],
    ["labelSelector=app==shop,tier", "a"],
    ["labelSelector=app!=shop", "c"],
    ["labelSelector=!tier", "bc"],
    ["labelSelector=app in (bank, shop),tier notin (1)", "bc"],
    ["labelSelector=app=", ""],
    ["fieldSelector=metadata.name=b", "b"],
    ["fieldSelector=metadata.name!=b,metadata.namespace=default", "ac"],
  ];
  for (const [query, names] of selected) {
    const { body } = await call("GET", `${services}?${encodeURI(query)}`);
    assert.equal(body.items.map((each: { metadata: { name: string } }) => each.metadata.name).join(""), names, query);
  }
});

test("people get tables, with more columns where there is room", async (t) => {
  const { call } = await client(t);
  await call("POST", services, { body: { ...service("users"), spec: { selector: { app: "users" }, ports: [{ port: 80 }] } } });
  const accept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
  const { body, type } = await call("GET", services, { accept });
  assert.equal(type, "application/json;g=meta.k8s.io;v=v1;as=Table");
  assert.deepEqual(
    body.columnDefinitions.filter(({ priority }: { priority: number }) => priority === 0).map(({ name }: { name: string }) => name),
    ["Name", "Type", "Cluster-IP", "External-IP", "Port(s)", "Age"],
  );
  assert.deepEqual(body.rows[0].cells.toSpliced(5, 1), ["users", "ClusterIP", "198.18.0.1", "<none>", "80/TCP", "app=users"]);
  assert.equal(body.rows[0].object.kind, "PartialObjectMetadata");
  const whole = await call("GET", `${services}/users?includeObject=Object`, { accept });
  assert.equal(whole.body.rows[0].object.kind, "Service");
});

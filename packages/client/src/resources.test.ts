import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { DraftObject } from "./objects.ts";
import { Refusal } from "./refusal.ts";
import { ResourceClient } from "./resources.ts";
import { ApiServer } from "./testing/api-server.ts";
import { socketTransport } from "./transport.ts";

const core = { group: "", version: "v1", kind: "Thing", plural: "things", namespaced: true };
const meshwide = { group: "weft.dev", version: "v1alpha1", kind: "Mesh", plural: "meshes", namespaced: false };
const draft: DraftObject = { apiVersion: "v1", kind: "Thing", metadata: { name: "a", namespace: "team" }, spec: { size: 1 } };

test("each call has Kubernetes' method, path, query and body", async (t) => {
  const server = await ApiServer.start(t);
  const client = new ResourceClient(socketTransport(server.stateDir));
  server.put("a");
  await client.list(core);
  await client.list(core, { namespace: "team", labelSelector: "app=users,tier!=web" });
  await client.list(meshwide);
  await client.get(core, { namespace: "team", name: "a" });
  await client.create(core, draft, { dryRun: true });
  await client.update(core, draft);
  await client.updateStatus(core, draft);
  await client.patch(core, { namespace: "team", name: "a" }, { spec: null });
  await client.delete(core, { namespace: "team", name: "a" }, { uid: "u1" });
  const body = JSON.stringify(draft);
  assert.deepEqual(server.calls, [
    "GET /api/v1/things",
    "GET /api/v1/namespaces/team/things?labelSelector=app%3Dusers%2Ctier%21%3Dweb",
    "GET /apis/weft.dev/v1alpha1/meshes",
    "GET /api/v1/namespaces/team/things/a",
    `POST /api/v1/namespaces/team/things?dryRun=All ${body}`,
    `PUT /api/v1/namespaces/team/things/a ${body}`,
    `PUT /api/v1/namespaces/team/things/a/status ${body}`,
    'PATCH /api/v1/namespaces/team/things/a {"spec":null}',
    'DELETE /api/v1/namespaces/team/things/a {"apiVersion":"v1","kind":"DeleteOptions","preconditions":{"uid":"u1"}}',
  ]);
});

test("items of a list say what they are, though the server leaves it out", async (t) => {
  const server = await ApiServer.start(t);
  server.next = { status: 200, body: JSON.stringify({ metadata: { resourceVersion: "7" }, items: [{ metadata: { name: "default" } }] }) };
  const { items, revision } = await new ResourceClient(socketTransport(server.stateDir)).list(meshwide);
  assert.deepEqual([items, revision], [[{ apiVersion: "weft.dev/v1alpha1", kind: "Mesh", metadata: { name: "default" } }], "7"]);
});

test("what the server refuses is an error with a code, its words and its causes", async (t) => {
  const server = await ApiServer.start(t);
  const client = new ResourceClient(socketTransport(server.stateDir));
  await assert.rejects(client.get(core, { namespace: "team", name: "none" }), { code: "WEFT-C-OBJECT-UNKNOWN", message: /not found/ });
  const refused = (status: number, body: object) => {
    server.next = { status, body: JSON.stringify({ kind: "Status", ...body }) };
    return client.update(core, draft).then(
      () => assert.fail("it is taken"),
      (error) => error as Refusal,
    );
  };
  assert.equal((await refused(409, { reason: "Conflict", message: "it was changed" })).code, "WEFT-C-OBJECT-CHANGED");
  assert.equal((await refused(409, { reason: "AlreadyExists", message: "it is there" })).code, "WEFT-C-OBJECT-EXISTS");
  const told = { message: "It is so. Do that. (WEFT-C-STORE-UNWRITABLE)", details: { causes: [{ reason: "WEFT-C-STORE-UNWRITABLE" }] } };
  const { code, message, hint } = await refused(503, { reason: "ServiceUnavailable", ...told });
  assert.deepEqual([code, message, hint], ["WEFT-C-STORE-UNWRITABLE", "It is so. Do that.", ""]);
  const causes = [{ reason: "FieldValueInvalid", field: "spec.size", message: "it is too small" }];
  const invalid = await refused(422, { reason: "Invalid", message: "Thing a is invalid", details: { causes } });
  assert.ok(invalid instanceof Refusal);
  assert.deepEqual([invalid.status, invalid.code, invalid.causes.map(({ field }) => field)], [422, "WEFT-C-BODY-INVALID", ["spec.size"]]);
});

test("an answer that is none of an API server's is said as it is", async (t) => {
  const server = await ApiServer.start(t);
  const client = new ResourceClient(socketTransport(server.stateDir));
  const unreachable = { code: "WEFT-L-CONTROLLER-UNREACHABLE", message: new RegExp(server.stateDir) };
  for (const next of [
    { status: 200, body: "<html>" },
    { status: 502, body: "bad gateway" },
    { status: 500, body: "{}" },
  ]) {
    server.next = next;
    await assert.rejects(client.get(core, { name: "a" }), unreachable, next.body);
  }
});

test("without a controller, or with a folder that is none, the error says what to do", async (t) => {
  const empty = mkdtempSync(join(tmpdir(), "weft-client-"));
  t.after(() => rmSync(empty, { recursive: true }));
  const client = new ResourceClient(socketTransport(empty));
  await assert.rejects(client.list(core), { code: "WEFT-L-CONTROLLER-NOT-RUNNING", hint: /weft up/ });
});

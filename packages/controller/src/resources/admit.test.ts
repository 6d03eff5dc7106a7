import assert from "node:assert/strict";
import { test } from "node:test";
import { checkObject, type Resource, type Service } from "@weft/api/kinds";
import { managedLabel } from "../sources/managed.ts";
import type { StoredObject } from "../store/store.ts";
import { type Admission, admitBy } from "./admit.ts";
import { InvalidObject } from "./status.ts";

const kind = { kind: "Service", apiVersion: "v1" };

function service(spec: object = {}, metadata: object = {}): Resource {
  const written = { ...kind, metadata: { name: "users", namespace: "default", ...metadata }, spec: { ports: [{ port: 80 }], ...spec } };
  return checkObject(written).object as Resource;
}

/** What becomes of a Service, and which names got an address. */
function admitted(object: Resource, { current, isDryRun = false }: { current?: Resource; isDryRun?: boolean } = {}) {
  const named: string[] = [];
  const admit = admitBy({
    addressOf: ({ name }) => (name === "known" ? "198.18.0.9" : undefined),
    allocateAddress: ({ namespace, name }) => {
      named.push(`${namespace}/${name}`);
      return "198.18.0.7";
    },
  });
  const admission: Admission = { kind, object, current: current as unknown as StoredObject | undefined, isDryRun };
  const { spec, metadata } = admit(admission) as unknown as Service;
  return { clusterIP: spec.clusterIP, clusterIPs: spec.clusterIPs, labels: metadata.labels, named };
}

test("a Service gets an address unless it has or wants none", () => {
  const given = admitted(service());
  assert.deepEqual([given.clusterIP, given.clusterIPs, given.named], ["198.18.0.7", ["198.18.0.7"], ["default/users"]]);
  assert.deepEqual(admitted(service({ clusterIP: "" })).clusterIP, "198.18.0.7");
  for (const [spec, expected] of [
    [{ clusterIP: "None" }, "None"],
    [{ type: "ExternalName", externalName: "users.example.com", ports: [] }, undefined],
  ] as const) {
    const { clusterIP, named } = admitted(service(spec));
    assert.deepEqual([clusterIP, named], [expected, []]);
  }
  assert.deepEqual(admitted(service(), { isDryRun: true }).named, [], "a dry run takes none");
});

test("a Service has its own address or is refused: another would lead calls elsewhere", () => {
  const { clusterIP, named } = admitted(service({ clusterIP: "198.18.0.9" }, { name: "known" }));
  assert.deepEqual([clusterIP, named], ["198.18.0.9", []]);
  for (const spec of [{ clusterIP: "198.18.0.9" }, { clusterIP: "10.0.0.9" }, { clusterIP: "10.0.0.9", clusterIPs: ["10.0.0.9"] }])
    for (const isDryRun of [true, false]) assert.throws(() => admitted(service(spec), { isDryRun }), InvalidObject);
});

test("a Service keeps its address when it is replaced by one that names none", () => {
  const current = service({ clusterIP: "198.18.0.3", clusterIPs: ["198.18.0.3"] });
  const { clusterIP, named } = admitted(service({ ports: [{ port: 81 }] }), { current });
  assert.deepEqual([clusterIP, named], ["198.18.0.3", []]);
});

test("what a person changes is theirs, and what they write back as it is stays the controller's", () => {
  const labels = { [managedLabel]: "weft", team: "front" };
  const own = service({ clusterIP: "198.18.0.3", clusterIPs: ["198.18.0.3"] }, { labels });
  const of = (spec: object, metadata: object) => admitted(service({ clusterIP: "198.18.0.3", ...spec }, metadata), { current: own }).labels;
  assert.deepEqual(of({}, { labels, resourceVersion: "7" }), labels);
  assert.deepEqual(of({ ports: [{ port: 81 }] }, { labels }), { team: "front" });
  assert.deepEqual(of({}, { labels: { ...labels, tier: "1" } }), { team: "front", tier: "1" });
  assert.deepEqual(admitted(service({}, { labels })).labels, { team: "front" }, "a new one is a person's");
  const helms = { [managedLabel]: "Helm" };
  assert.deepEqual(of({ ports: [{ port: 81 }] }, { labels: helms }), helms, "other owners are none of the controller's business");
});

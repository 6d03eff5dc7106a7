import assert from "node:assert/strict";
import { test } from "node:test";
import { checkObject, kinds, readResources } from "@weft/api/kinds";
import type { ApiObject, DraftObject } from "@weft/client";
import { stepFor, type Wanted, wantedObjects } from "./plan.ts";

const route = (name: string, more = "", metadata = "") => `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: ${name}${metadata} }
spec:
  rules:
    - backendRefs:
        - { name: users, port: 80${more} }
`;
const service = "apiVersion: v1\nkind: Service\nmetadata: { name: users }\nspec: { ports: [{ port: 80 }] }\n";
const slice = `apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: users-1, labels: { kubernetes.io/service-name: users } }
addressType: IPv4
endpoints: [{ addresses: [10.0.0.1] }]
ports: [{ port: 80 }]
`;

function wanted(text: string, namespace?: string): Wanted[] {
  const { resources, problems } = readResources([{ file: "a.yaml", text }]);
  assert.deepEqual(problems, []);
  return wantedObjects(resources, kinds, namespace, "default");
}

const one = (text: string) => wanted(text)[0] as Wanted;

/** What the server makes of an object that is sent to it. */
function stored(object: DraftObject): ApiObject {
  const filled = checkObject(object).object as unknown as DraftObject;
  const metadata = { uid: "u1", resourceVersion: "7", generation: 1, creationTimestamp: "2026-01-01T00:00:00Z", ...filled.metadata };
  return { ...filled, metadata, status: { parents: [] } };
}

test("what others refer to is sent first, and everything is somewhere", () => {
  const found = wanted(`${route("a")}---\n${slice}---\n${route("b", "", ", namespace: team")}---\n${service}`);
  assert.deepEqual(
    found.map(({ object: { kind, metadata }, place }) => [kind, metadata.namespace, metadata.name, place]),
    [
      ["Service", "default", "users", "a.yaml:24"],
      ["EndpointSlice", "default", "users-1", "a.yaml:9"],
      ["HTTPRoute", "default", "a", "a.yaml:1"],
      ["HTTPRoute", "team", "b", "a.yaml:16"],
    ],
  );
  assert.equal(wanted(route("a"), "team")[0]?.object.metadata.namespace, "team");
  assert.throws(() => wanted(route("b", "", ", namespace: other"), "team"), { code: "WEFT-L-USAGE" });
});

test("what is not there is created; what is there as it is wanted is left alone, though defaults were filled in", () => {
  const first = stepFor(one(route("a")), undefined);
  assert.equal(first.verb, "create");
  const live = stored(first.object);
  assert.equal(stepFor(one(route("a")), live).verb, "none");
  // Another text that says something else about the same object's last version is kept for the next time.
  assert.equal(stepFor(one(route("a", ", weight: 1")), live).verb, "configure");
});

test("a change is based on what is there, so that somebody else's is not lost", () => {
  const live = stored(stepFor(one(route("a")), undefined).object);
  const { verb, object } = stepFor(one(route("a", ", weight: 5")), live);
  assert.deepEqual([verb, object.metadata.resourceVersion, object.metadata.uid], ["configure", "7", "u1"]);
});

test("a document that says on what it is based is known by it", () => {
  assert.equal(one(route("a", "", ", resourceVersion: '5'")).basedOn, "5");
  assert.equal(one(route("a", "", ", resourceVersion: '5'")).object.metadata.resourceVersion, undefined);
});

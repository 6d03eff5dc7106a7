import assert from "node:assert/strict";
import { test } from "node:test";
import { httpRoute } from "@weft/api/kinds";
import type { ApiObject } from "@weft/client";
import { happened, pastOf } from "./timeline.ts";

const now = "2026-01-01T00:01:00Z";

function route(weight: number, { conditions = [], uid = "u1" }: { conditions?: object[]; uid?: string } = {}): ApiObject {
  return {
    apiVersion: "gateway.networking.k8s.io/v1",
    kind: "HTTPRoute",
    metadata: { name: "users", namespace: "default", uid, resourceVersion: String(weight), creationTimestamp: "2026-01-01T00:00:00Z" },
    spec: {
      rules: [
        {
          backendRefs: [
            { name: "a", weight: 90 },
            { name: "b", weight },
          ],
        },
      ],
    },
    status: { parents: [{ parentRef: { kind: "Service", name: "users", port: 80 }, conditions }] },
  };
}

const condition = (type: string, status: string, reason: string, message: string, lastTransitionTime = now) => ({
  type,
  status,
  reason,
  message,
  lastTransitionTime,
});

const accepted = condition("Accepted", "True", "Accepted", "The route is in force.", "2026-01-01T00:00:01Z");
const missing = condition("ResolvedRefs", "False", "BackendNotFound", "There is no Service b.", "2026-01-01T00:00:02Z");

const said = (before?: ApiObject, after?: ApiObject) =>
  happened(httpRoute, before, after, now).map(({ what, message }) => `${what}: ${message}`);

test("what an object tells of its past, oldest first", () => {
  assert.deepEqual(pastOf(httpRoute, route(1, { conditions: [missing, accepted] })), [
    { at: "2026-01-01T00:00:00Z", namespace: "default", object: "httproute/users", what: "created", message: "created" },
    {
      at: "2026-01-01T00:00:01Z",
      namespace: "default",
      object: "httproute/users",
      what: "status",
      message: "Accepted for service/users:80: The route is in force.",
    },
    {
      at: "2026-01-01T00:00:02Z",
      namespace: "default",
      object: "httproute/users",
      what: "status",
      message: "not ResolvedRefs for service/users:80 (BackendNotFound): There is no Service b.",
    },
  ]);
});

test("a change says which fields, from what to what", () => {
  assert.deepEqual(said(route(10), route(50)), ["changed: spec.rules[0].backendRefs[1].weight: 10 -> 50"]);
});

test("what the server counts and notes is no change", () => {
  const after = route(10);
  assert.deepEqual(said(route(10), { ...after, metadata: { ...after.metadata, resourceVersion: "99", generation: 7 } }), []);
});

test("a status tells what it states anew", () => {
  assert.deepEqual(said(route(10, { conditions: [accepted] }), route(10, { conditions: [accepted, missing] })), [
    "status: not ResolvedRefs for service/users:80 (BackendNotFound): There is no Service b.",
  ]);
});

test("created, deleted, and deleted and made again", () => {
  assert.deepEqual(said(undefined, route(1)), ["created: created"]);
  assert.deepEqual(said(route(1), undefined), ["deleted: deleted"]);
  assert.deepEqual(said(route(1), route(1, { uid: "u2" })), ["deleted: deleted", "created: created"]);
});

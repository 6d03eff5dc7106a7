import assert from "node:assert/strict";
import { test } from "node:test";
import { httpRoute as httpRouteKind } from "@weft/api/kinds";
import { routeStatus } from "./status.ts";
import { made } from "./testing/make.ts";
import { httpRoute, service, to } from "./testing/objects.ts";
import { httpRouteView } from "./views/http-route.ts";

const now = "2026-11-27T12:00:00Z";
const later = "2026-11-27T13:00:00Z";
const place = { name: "r", generation: 3 };
const fine = { backendRefs: [{ name: "users", port: 80 }] };
const mirrored = { ...fine, filters: [{ type: "RequestMirror", requestMirror: { backendRef: { name: "users", port: 80 } } }] };

function statusOf(spec: object, before?: unknown, at = now) {
  const route = httpRoute(place, spec);
  const object = before === undefined ? route.object : { ...route.object, status: before };
  return routeStatus(object, made([service({ name: "users" }), route], httpRouteView, "default/r").findings, at);
}

const inShort = ({ parents }: ReturnType<typeof statusOf>) =>
  parents.map(({ parentRef, conditions }) => [
    parentRef.name,
    ...conditions.map(({ type, status, reason }) => `${type}=${status} ${reason}`),
  ]);

test("each Service that is a parent has its own conditions, and other parents are left to others", () => {
  const status = statusOf({ parentRefs: [to("users"), to("gone"), { name: "gateway" }], rules: [fine] });
  assert.deepEqual(inShort(status), [
    ["users", "Accepted=True Accepted", "ResolvedRefs=True ResolvedRefs"],
    ["gone", "Accepted=False NoMatchingParent", "ResolvedRefs=True ResolvedRefs"],
  ]);
  assert.ok(
    status.parents.every(({ conditions }) => conditions.every((each) => each.observedGeneration === 3 && each.lastTransitionTime === now)),
  );
  assert.deepEqual(httpRouteKind.schema.shape.status.parse(status), status, "it is a status by the kind's schema");
});

test("what cannot be resolved or carried out is said, with every cause and its place", () => {
  const lost = {
    backendRefs: [
      { name: "gone", port: 80 },
      { name: "lost", namespace: "shop", port: 80 },
    ],
  };
  const unresolved = statusOf({ parentRefs: [to("users")], rules: [lost] });
  assert.deepEqual(inShort(unresolved), [["users", "Accepted=True Accepted", "ResolvedRefs=False BackendNotFound"]]);
  assert.match(
    unresolved.parents[0]?.conditions[1]?.message ?? "",
    /backendRefs\[0\]: There is no Service gone.default\..*backendRefs\[1\]: .*ReferenceGrant/,
  );
  const partly = statusOf({ parentRefs: [to("users")], rules: [mirrored, fine] });
  assert.deepEqual(inShort(partly), [
    ["users", "Accepted=True Accepted", "ResolvedRefs=True ResolvedRefs", "PartiallyInvalid=True UnsupportedValue"],
  ]);
  assert.deepEqual(inShort(statusOf({ parentRefs: [to("users")], rules: [mirrored] })), [
    ["users", "Accepted=False UnsupportedValue", "ResolvedRefs=True ResolvedRefs"],
  ]);
});

test("a status that says the same is the same, a condition that turned has a new time, and other controllers' entries stay", () => {
  const foreign = { ...statusOf({ parentRefs: [to("users")], rules: [fine] }).parents[0], controllerName: "example.com/other" };
  const first = statusOf({ parentRefs: [to("users")], rules: [fine] }, { parents: [foreign] });
  assert.deepEqual(
    first.parents.map(({ controllerName }) => controllerName),
    ["example.com/other", "weft.dev/controller"],
  );
  assert.deepEqual(statusOf({ parentRefs: [to("users")], rules: [fine] }, first, later), first);
  const turned = statusOf({ parentRefs: [to("users")], rules: [{ backendRefs: [{ name: "gone", port: 80 }] }] }, first, later);
  assert.deepEqual(
    turned.parents[1]?.conditions.map(({ lastTransitionTime }) => lastTransitionTime),
    [now, later],
  );
  assert.deepEqual(statusOf({ rules: [fine] }, first).parents, [foreign], "a parent that the route has no more is left out");
});

test("of many causes some are told, and how many more there are", () => {
  const backendRefs = Array.from({ length: 12 }, (_, index) => ({ name: `gone-${index}`, port: 80 }));
  const { parents } = statusOf({ parentRefs: [to("users")], rules: [{ backendRefs }] });
  assert.match(parents[0]?.conditions[1]?.message ?? "", /gone-7\.default.* And 4 more\.$/);
});

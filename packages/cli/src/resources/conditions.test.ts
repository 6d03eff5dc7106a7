import assert from "node:assert/strict";
import { test } from "node:test";
import type { ApiObject } from "@weft/client";
import { programmed, standingOf, statedOf } from "./conditions.ts";

interface Said {
  type: string;
  status: string;
  reason: string;
  message?: string;
  observedGeneration?: number;
}

const accepted: Said = { type: "Accepted", status: "True", reason: "Accepted" };
const resolved: Said = { type: "ResolvedRefs", status: "True", reason: "ResolvedRefs" };
const inForce: Said = { type: programmed, status: "True", reason: "Programmed", message: "in force on 2 of 2 proxies" };

function route(...parents: Said[][]): ApiObject {
  const parentRefs = parents.map((_, index) => ({ group: "", kind: "Service", name: `s${index}` }));
  const status = { parents: parents.map((conditions, index) => ({ parentRef: parentRefs[index], conditions })) };
  const metadata = {
    name: "r",
    namespace: "default",
    uid: "u",
    resourceVersion: "1",
    generation: 2,
    creationTimestamp: "2026-01-01T00:00:00Z",
  };
  return { apiVersion: "gateway.networking.k8s.io/v1", kind: "HTTPRoute", metadata, spec: { parentRefs }, status };
}

const state = (...parents: Said[][]) => {
  const { state, reason } = standingOf(route(...parents)) ?? {};
  return `${state} ${reason}`;
};

test("a route is in force when all its parents accept it and all proxies have it", () => {
  assert.equal(state([accepted, resolved, inForce]), "in force Programmed");
  assert.equal(state([accepted, resolved, inForce], [accepted, resolved, inForce]), "in force Programmed");
  const pending = { ...inForce, status: "False", reason: "Pending" };
  assert.equal(state([accepted, resolved, inForce], [accepted, resolved, pending]), "pending Pending");
});

test("until the controller looked at this version of it, it is pending", () => {
  assert.equal(state([]), "pending ");
  assert.equal(state([accepted, resolved]), "pending ");
  assert.equal(state([accepted, inForce].map((each) => ({ ...each, observedGeneration: 1 }))), "pending ");
  assert.equal(state([accepted, inForce].map((each) => ({ ...each, observedGeneration: 2 }))), "in force Programmed");
});

test("what stays wrong until somebody changes something is refused, with the reason", () => {
  const missing = { ...resolved, status: "False", reason: "BackendNotFound" };
  assert.equal(state([accepted, missing, inForce]), "refused BackendNotFound");
  assert.equal(state([accepted, resolved, inForce], [{ ...accepted, status: "False", reason: "NotYet" }]), "refused NotYet");
  assert.equal(state([accepted, resolved, inForce, { type: "PartiallyInvalid", status: "True", reason: "NotYet" }]), "refused NotYet");
  assert.equal(state([accepted, resolved, { ...inForce, status: "False", reason: "Rejected" }]), "refused Rejected");
});

test("of a route for nothing of the mesh, and of other kinds, nothing is waited for", () => {
  assert.equal(standingOf(route()), undefined);
  assert.equal(standingOf({ ...route([]), kind: "Service", spec: {} }), undefined);
});

test("what is stated of a parent names it", () => {
  const [first] = statedOf(route([accepted]));
  assert.equal(first?.parent, "service/s0");
});

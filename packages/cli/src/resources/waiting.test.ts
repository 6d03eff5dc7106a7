import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { httpRoute } from "@weft/api/kinds";
import type { ApiObject, ResourceClient, ServerEvent } from "@weft/client";
import { programmed } from "./conditions.ts";
import { parseCondition, wishFor } from "./purpose.ts";
import { waitFor } from "./waiting.ts";

const accepted = { type: "Accepted", status: "True", reason: "Accepted", message: "" };
const missing = { type: "ResolvedRefs", status: "False", reason: "BackendNotFound", message: "There is no Service b." };
const inForce = { type: programmed, status: "True", reason: "Programmed", message: "in force on 1 of 1 proxy" };

function route(...conditions: object[]): ApiObject {
  const parentRef = { group: "", kind: "Service", name: "users" };
  const metadata = { name: "users", namespace: "default", uid: "u", resourceVersion: "1", creationTimestamp: "2026-01-01T00:00:00Z" };
  const status = { parents: [{ parentRef, conditions }] };
  return { apiVersion: "gateway.networking.k8s.io/v1", kind: "HTTPRoute", metadata, spec: { parentRefs: [parentRef] }, status };
}

/** A server that has `first`, then tells each of `later`, and then nothing more. */
function serving(first: ApiObject[], later: ServerEvent[] = []): ResourceClient {
  return {
    list: async () => ({ items: first, revision: "1" }),
    async *watch(_kind: unknown, _selection: unknown, _revision: string, signal: AbortSignal) {
      yield* later;
      await delay(60_000, undefined, { signal });
    },
  } as unknown as ResourceClient;
}

const changed = (object: ApiObject): ServerEvent => ({ type: "MODIFIED", object });

/** What is missing in the end, as text; empty when the wish came true. */
async function waited(client: ResourceClient, purpose?: string, seconds = 30): Promise<string> {
  const wish = wishFor(parseCondition(purpose), { kind: httpRoute, name: "users", namespace: "default" });
  const [missed] = (await waitFor(client, [wish], seconds, "waiting")).values();
  return missed instanceof Error ? `given up: ${missed.message}` : (missed ?? "");
}

test("what is so already is not waited for, and what comes to be so ends the waiting", async () => {
  assert.equal(await waited(serving([route(accepted, inForce)])), "");
  assert.equal(await waited(serving([route()], [changed(route(accepted, inForce))])), "");
  assert.equal(await waited(serving([route()], [{ type: "DELETED", object: route() }]), "delete"), "");
  assert.equal(await waited(serving([], [{ type: "ADDED", object: route() }]), "create"), "");
  assert.equal(await waited(serving([route(accepted)]), "condition=Accepted"), "");
  assert.equal(await waited(serving([route(missing)]), "condition=ResolvedRefs=false"), "");
});

test("a refusal that passes is none; one that stays ends the waiting, long before its time", async () => {
  assert.equal(await waited(serving([route(accepted, missing, inForce)], [changed(route(accepted, inForce))])), "");
  assert.equal(await waited(serving([route(accepted, missing, inForce)])), "given up: BackendNotFound: There is no Service b.");
});

test("what does not come in time is told with what is missing", async () => {
  assert.equal(await waited(serving([]), undefined, 0.1), "it is not there");
  assert.equal(await waited(serving([route()]), undefined, 0.1), "The controller has not looked at it yet.");
  assert.equal(await waited(serving([route()]), "delete", 0.1), "it is still there");
  assert.equal(await waited(serving([route()]), "condition=Accepted", 0.1), "its status says nothing of Accepted");
  assert.match(await waited(serving([route(missing)]), "condition=ResolvedRefs", 0.1), /^ResolvedRefs is False \(BackendNotFound\)/);
});

test("what cannot be waited for is refused with what can", () => {
  for (const purpose of ["", "ready", "condition", "condition=A=maybe", "condition="])
    assert.throws(() => parseCondition(purpose), { code: "WEFT-L-USAGE", hint: /--for condition=TYPE/ }, purpose);
});

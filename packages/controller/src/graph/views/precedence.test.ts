import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { made } from "../testing/make.ts";
import { grpcRoute, httpRoute, type Item, service, to } from "../testing/objects.ts";
import { routesView } from "./routes.ts";

const users = service({ name: "users" });
const path = (value: string, type = "PathPrefix") => ({ path: { type, value } });
const named = (...names: string[]) => names.map((name) => ({ name, value: "1" }));

/** Routes of these names, each with these matches in a rule of its own; in what order they are tried: `name/rule`. */
function order(kind: typeof httpRoute, routes: Record<string, object[]>, created: Record<string, string> = {}): string[] {
  const items = Object.entries(routes).map(([key, matches]): Item => {
    const [namespace, name] = key.includes("/") ? key.split("/") : ["default", key];
    const place = { namespace: namespace ?? "", name: name ?? "", creationTimestamp: created[key] ?? "2026-11-01T00:00:00Z" };
    const rules = matches.map((match) => ({ matches: [match], backendRefs: [{ name: "users", port: 80 }] }));
    return kind(place, { parentRefs: [to("users", { namespace: "default" })], rules });
  });
  const shuffled = fc.sample(fc.shuffledSubarray(items, { minLength: items.length, maxLength: items.length }), { numRuns: 5, seed: 1 });
  const orders = shuffled.map((each) => made([users, ...each], routesView, "users.default:80").value?.routes ?? []);
  for (const each of orders) assert.deepEqual(each, orders[0], "the order does not depend on what was known first");
  return (orders[0] ?? []).map(({ route, rule }) => `${route.slice("default/".length)}/${rule}`);
}

const http: [why: string, routes: Record<string, object[]>, order: string[], created?: Record<string, string>][] = [
  ["an exact path before any prefix", { a: [path("/users/all")], b: [path("/users", "Exact")] }, ["b/0", "a/0"]],
  ["the longest prefix", { a: [path("/"), path("/users/7"), path("/users")] }, ["a/1", "a/2", "a/0"]],
  ["a slash at a prefix's end says nothing", { a: [path("/users/"), { ...path("/users"), method: "GET" }] }, ["a/1", "a/0"]],
  ["path before method", { a: [{ ...path("/"), method: "GET" }, path("/users")] }, ["a/1", "a/0"]],
  ["a method before none", { a: [path("/"), { method: "GET" }] }, ["a/1", "a/0"]],
  ["method before fields", { a: [{ headers: named("x", "y", "z") }, { method: "GET" }] }, ["a/1", "a/0"]],
  ["more fields", { a: [{ headers: named("x") }, { headers: named("x", "y") }] }, ["a/1", "a/0"]],
  ["a field twice is one", { a: [{ headers: named("x") }, { headers: [...named("y"), { name: "Y", value: "2" }] }] }, ["a/0", "a/1"]],
  ["fields before parameters", { a: [{ queryParams: named("x", "y") }, { headers: named("x") }] }, ["a/1", "a/0"]],
  ["more parameters", { a: [{ queryParams: named("x") }, { queryParams: named("x", "y") }] }, ["a/1", "a/0"]],
  ["the older route", { a: [path("/")], b: [path("/")] }, ["b/0", "a/0"], { b: "2026-10-31T23:59:59Z" }],
  ["of routes as old, by name", { b: [path("/")], a: [path("/")], "a-b": [path("/")] }, ["a/0", "a-b/0", "b/0"]],
  ["specific before old", { a: [path("/users")], b: [path("/")] }, ["a/0", "b/0"], { b: "2026-10-31T23:59:59Z" }],
  ["of a route, the rule that comes first", { a: [path("/x"), path("/y"), path("/x")] }, ["a/0", "a/1", "a/2"]],
];
for (const [why, routes, expected, created] of http)
  test(`HTTPRoutes: ${why}`, () => assert.deepEqual(order(httpRoute, routes, created), expected));

const method = (service?: string, method?: string) => ({
  method: { ...(service === undefined ? {} : { service }), ...(method === undefined ? {} : { method }) },
});
const grpc: typeof http = [
  ["the longer service", { a: [method("a.B"), method("a.Long")] }, ["a/1", "a/0"]],
  ["service before method", { a: [method(undefined, "VeryLong"), method("a.B")] }, ["a/1", "a/0"]],
  ["the longer method", { a: [method("a.B"), method("a.B", "Get"), method("a.B", "GetAll")] }, ["a/2", "a/1", "a/0"]],
  ["method before fields", { a: [{ headers: named("x") }, method(undefined, "Get")] }, ["a/1", "a/0"]],
  ["more fields", { a: [{}, { headers: named("x") }] }, ["a/1", "a/0"]],
  ["the older route", { a: [{}], b: [{}] }, ["b/0", "a/0"], { b: "2026-10-31T23:59:59Z" }],
];
for (const [why, routes, expected, created] of grpc)
  test(`GRPCRoutes: ${why}`, () => assert.deepEqual(order(grpcRoute, routes, created), expected));

test("matches of one rule are tried as they are written, and share what is done", () => {
  const route = httpRoute({ name: "a" }, { parentRefs: [to("users")], rules: [{ matches: [path("/b"), path("/a"), path("/long")] }] });
  const { value } = made([users, route], routesView, "users.default:80");
  assert.deepEqual(
    value?.routes.map(({ match }) => match.path?.value),
    ["/long", "/b", "/a"],
  );
  assert.equal(value?.routes[0]?.action, value?.routes[1]?.action);
});

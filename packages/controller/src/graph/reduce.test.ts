import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { SourceEvent } from "./events.ts";
import { resources } from "./lists.ts";
import { reduce } from "./reduce.ts";
import { emptySnapshot, listAt, objectAt, type Snapshot } from "./snapshot.ts";
import { Table } from "./table.ts";
import { httpRoute, type Item, put, remove, service, slice, to } from "./testing/objects.ts";

const users = service({ name: "users" });
const shopUsers = service({ name: "users", namespace: "shop" });
const shop2Users = service({ name: "users", namespace: "shop2" });
const relisted = (namespace: string | undefined, ...items: Item[]): SourceEvent => ({
  type: "relisted",
  resource: resources.services,
  namespace,
  objects: items.map(({ object }) => object),
});
const after = (...events: SourceEvent[]) => reduce(emptySnapshot, events).snapshot;
const has = (snapshot: Snapshot, item: Item) =>
  objectAt(snapshot, { resource: item.resource, namespace: "", ...item.object.metadata }) !== undefined;
const keys = (snapshot: Snapshot, ...events: SourceEvent[]) => [...reduce(snapshot, events).changed].sort();

test("a change tells the object and the lists that it came into, left, or is in", () => {
  const slices = "endpointslices.discovery.k8s.io";
  const first = slice("users", { name: "s" }, {});
  const moved = slice("next", { name: "s" }, {});
  assert.deepEqual(keys(emptySnapshot, put(users)), ["services/default/users"]);
  assert.deepEqual(keys(emptySnapshot, put(first)), [`${slices}/default/s`, `${slices}?users.default`]);
  assert.deepEqual(
    keys(after(put(first)), put({ ...moved, object: { ...moved.object, metadata: { ...moved.object.metadata, resourceVersion: "2" } } })),
    [`${slices}/default/s`, `${slices}?next.default`, `${slices}?users.default`],
  );
  assert.deepEqual(keys(after(put(first)), remove(first)), [`${slices}/default/s`, `${slices}?users.default`]);
});

test("a route is listed once for each Service that is its parent, by the Service's namespace", () => {
  const parentRefs = [
    to("users", { sectionName: "a" }),
    to("users", { sectionName: "b" }),
    to("users", { namespace: "shop" }),
    { name: "gateway" },
  ];
  const route = httpRoute({ name: "r" }, { parentRefs, rules: [{}] });
  const listed = (about: string) => listAt(after(put(route)), resources.httpRoutes, about).length;
  assert.deepEqual(["users.default", "users.shop", "gateway.default"].map(listed), [1, 1, 0]);
});

test("events that lead back to what was known change nothing, and the snapshot is the same one", () => {
  const before = after(put(users));
  for (const events of [
    [],
    [put(users)],
    [remove(users), put(users)],
    [remove(shopUsers)],
    [put(shopUsers), remove(shopUsers)],
    [relisted(undefined, users)],
  ]) {
    const { snapshot, changed } = reduce(before, events);
    assert.deepEqual([snapshot === before, changed.size], [true, 0]);
  }
});

test("an object that was deleted and made anew is another, even if the store gave it the same version", () => {
  const again = { ...users, object: { ...users.object, metadata: { ...users.object.metadata, uid: "another" } } };
  assert.deepEqual(keys(after(put(users)), put(again)), ["services/default/users"]);
});

test("a list of a namespace replaces what is known of it, what came just before included, and nothing of another that is named alike", () => {
  const snapshot = after(put(users), put(shop2Users), put(shopUsers), relisted("shop"));
  assert.deepEqual(
    [users, shopUsers, shop2Users].map((item) => has(snapshot, item)),
    [true, false, true],
  );
  const all = reduce(snapshot, [relisted(undefined, shopUsers), put(users)]).snapshot;
  assert.deepEqual(
    [users, shopUsers, shop2Users].map((item) => has(all, item)),
    [true, true, false],
  );
});

test("a snapshot stays as it is, whatever comes after it", () => {
  const before = after(put(users), put(slice("users", { name: "s" }, {})));
  reduce(before, [remove(users), put(slice("users", { name: "t" }, {})), relisted(undefined, shopUsers)]);
  assert.deepEqual(
    [has(before, users), has(before, shopUsers), listAt(before, resources.endpointSlices, "users.default").length],
    [true, false, 1],
  );
});

test("a table is a map, and changed copies leave it as it was", () => {
  const key = fc.integer({ min: 0, max: 2000 }).map(String);
  const changes = fc.array(fc.tuple(key, fc.option(fc.nat(), { nil: undefined })), { maxLength: 200 }).map((pairs) => new Map(pairs));
  fc.assert(
    fc.property(fc.array(changes, { maxLength: 6 }), (steps) => {
      const model = new Map<string, number>();
      const taken: { table: Table<number>; model: Map<string, number> }[] = [];
      let table = Table.empty<number>();
      for (const step of steps) {
        table = table.with(step);
        for (const [each, value] of step) value === undefined ? model.delete(each) : model.set(each, value);
        taken.push({ table, model: new Map(model) });
      }
      for (const { table, model } of taken) {
        assert.deepEqual([...table.keys()].sort(), [...model.keys()].sort());
        for (const [each, value] of model) assert.equal(table.get(each), value);
      }
    }),
  );
});

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Endpoint } from "@weft/api";
import fc from "fast-check";
import { advance, differenceSince, maxTombstones, type ServiceHistory } from "./history.ts";
import type { ServiceView } from "./view.ts";

const endpoint = fc.record({
  id: fc.constantFrom("a", "b", "c", "d", "e"),
  address: fc.constantFrom("127.0.0.1", "127.0.0.2"),
  inboundPort: fc.integer({ min: 1, max: 3 }),
  identity: fc.constant(""),
  ports: fc.constant<Endpoint["ports"]>([]),
});
const view = fc.uniqueArray(endpoint, { selector: ({ id }) => id }).map(
  (endpoints): ServiceView => ({
    namespace: "default",
    name: "users",
    virtualAddress: "198.18.0.1",
    ports: [],
    endpoints: endpoints.sort((a, b) => (a.id < b.id ? -1 : 1)),
  }),
);

function apply(held: Map<string, Endpoint>, history: ServiceHistory, since: number): Map<string, Endpoint> {
  const { full, added, removed } = differenceSince(history, since);
  const after = new Map(full ? [] : held);
  for (const id of removed) after.delete(id);
  for (const each of added) after.set(each.id, each);
  return after;
}

const sorted = (held: Map<string, Endpoint>) => [...held.values()].sort((a, b) => (a.id < b.id ? -1 : 1));

test("whoever holds any revision, and applies the difference since, holds what there is now", () => {
  fc.assert(
    fc.property(fc.array(view, { minLength: 1, maxLength: 12 }), fc.nat(), (views, pick) => {
      const histories: ServiceHistory[] = [];
      for (const [index, each] of views.entries()) histories.push(advance(histories.at(-1), each, index + 1));
      const last = histories.at(-1) as ServiceHistory;
      const then = histories[pick % histories.length] as ServiceHistory;
      const held = new Map(then.view.endpoints.map((each) => [each.id, each]));
      assert.deepEqual(sorted(apply(held, last, then.revision)), last.view.endpoints);
      assert.deepEqual(sorted(apply(held, last, 0)), last.view.endpoints);
    }),
  );
});

test("whoever misses updates and takes the rest as they come ends up the same", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(view, fc.boolean()), { minLength: 1, maxLength: 20 }), (steps) => {
      let history: ServiceHistory | undefined;
      let held = new Map<string, Endpoint>();
      let revision = 0;
      for (const [index, [each, read]] of steps.entries()) {
        history = advance(history, each, index + 1);
        if (!read) continue;
        held = apply(held, history, revision);
        revision = history.revision;
        assert.deepEqual(sorted(held), history.view.endpoints);
      }
    }),
  );
});

test("a difference names only what changed", () => {
  const base = {
    namespace: "default",
    name: "users",
    virtualAddress: "198.18.0.1",
    ports: [],
  };
  const [a, b, c] = ["a", "b", "c"].map((id) => ({
    id,
    address: "127.0.0.1",
    inboundPort: 1,
    identity: "",
    ports: [],
  })) as unknown as [Endpoint, Endpoint, Endpoint];
  const first = advance(undefined, { ...base, endpoints: [a, b] }, 10);
  const second = advance(first, { ...base, endpoints: [b, c] }, 11);
  assert.deepEqual(differenceSince(second, 10), {
    full: false,
    added: [c],
    removed: ["a"],
  });
  assert.deepEqual(differenceSince(second, 11), {
    full: false,
    added: [],
    removed: [],
  });
  assert.equal(advance(second, structuredClone(second.view), 12), second);
});

test("who is behind the horizon, or ahead of what there is, gets the whole set", () => {
  const base = {
    namespace: "default",
    name: "users",
    virtualAddress: "198.18.0.1",
    ports: [],
  };
  const one = (id: string) => ({
    ...base,
    endpoints: [{ id, address: "127.0.0.1", inboundPort: 1, identity: "", ports: [] }],
  });
  let history = advance(undefined, one("e0"), 1);
  for (let index = 1; index <= maxTombstones + 10; index++) history = advance(history, one(`e${index}`), index + 1);
  assert.equal(history.tombstones.length, maxTombstones);
  assert.equal(differenceSince(history, 2).full, true);
  assert.equal(differenceSince(history, history.revision - 5).full, false);
  assert.equal(differenceSince(history, history.revision + 1).full, true);
});

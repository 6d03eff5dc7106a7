import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { Endpoint } from "@weft/api";
import { DiscoveryWatchRequestSchema, DiscoveryWatchResponseSchema } from "@weft/api/proto";
import fc from "fast-check";
import { endpointHash, fnv1a64 } from "../model/digest.ts";
import { Wakeup } from "../serve/wakeup.ts";
import { DiscoveryStream, maxSubscriptions, type Rejected } from "./stream.ts";
import { ServiceTable } from "./table.ts";

function open() {
  const table = new ServiceTable(1);
  const rejected: Rejected[] = [];
  const stream = new DiscoveryStream(table, "default", new Wakeup(), (each) => rejected.push(each));
  const say = (request: MessageInitShape<typeof DiscoveryWatchRequestSchema>["request"]) =>
    stream.receive(create(DiscoveryWatchRequestSchema, { request } as never));
  const hear = () => [...stream.pending()].map((response) => create(DiscoveryWatchResponseSchema, response).response);
  say({ case: "hello", value: {} });
  hear();
  return { table, rejected, stream, say, hear };
}

const endpoint = (id: string): Endpoint => ({ id, address: "127.0.0.1", inboundPort: 1, identity: "", ports: [] });
const service = (name: string, ids: string[]) => ({
  namespace: "default",
  name,
  virtualAddress: `198.18.0.${name.length}`,
  ports: [{ port: 80 }],
  endpoints: ids.map(endpoint),
});

test("a reader that was slow gets all changes of a service in one update", () => {
  const { table, say, hear } = open();
  say({ case: "subscribe", value: { subscription: "users" } });
  for (let index = 0; index < 100; index++) table.set("users.default", service("users", [`w-${index}`]));
  const heard = hear();
  assert.equal(heard.length, 1);
  assert.deepEqual(heard[0]?.case === "service" && heard[0].value.endpointsAdded.map(({ id }) => id), ["w-99"]);
  assert.deepEqual(hear(), []);
});

test("nothing is heard of services that were not asked for, or no longer are", () => {
  const { table, say, hear } = open();
  say({ case: "subscribe", value: { subscription: "users" } });
  hear();
  table.set("orders.default", service("orders", ["w-1"]));
  assert.deepEqual(hear(), []);
  say({ case: "unsubscribe", value: { subscription: "users" } });
  table.set("users.default", service("users", ["w-2"]));
  assert.deepEqual(hear(), []);
});

test("a published port is heard of as the service that has it, whole when it passes to another", () => {
  const { table, say, hear } = open();
  const ids = (heard: ReturnType<typeof hear>) =>
    heard.map(
      (each) =>
        each.case === "service" && [each.value.found, each.value.service, each.value.full, each.value.endpointsAdded.map(({ id }) => id)],
    );
  table.set("orders.default", service("orders", ["w-3"]));
  say({ case: "subscribe", value: { subscription: "127.0.0.1:8080", revision: 9n } });
  assert.deepEqual(ids(hear()), [[false, "", false, []]]);
  table.set("users.default", service("users", ["w-1"]));
  table.publish(8080, "users.default");
  assert.deepEqual(ids(hear()), [[true, "users", true, ["w-1"]]]);
  table.set("users.default", service("users", ["w-1", "w-2"]));
  assert.deepEqual(ids(hear()), [[true, "users", false, ["w-2"]]]);
  table.publish(8080, "orders.default");
  assert.deepEqual(ids(hear()), [[true, "orders", true, ["w-3"]]]);
  table.publish(8080, undefined);
  assert.deepEqual(ids(hear()), [[false, "", false, []]]);
  table.publish(8080, "orders.default");
  assert.deepEqual(ids(hear()), [[true, "orders", true, ["w-3"]]]);
});

test("a digest says how many endpoints, and which, the reader holds", () => {
  const { table, say, hear, stream } = open();
  table.set("users.default", service("users", ["w-1", "w-2"]));
  for (const subscription of ["users", "missing"]) say({ case: "subscribe", value: { subscription } });
  hear();
  stream.digest();
  const [digest, ...rest] = hear();
  assert.deepEqual(rest, []);
  assert.ok(digest?.case === "digest");
  assert.deepEqual([digest.value.subscription, digest.value.endpointCount], ["users", 2]);
  assert.equal(digest.value.endpointHash, fnv1a64("w-1") ^ fnv1a64("w-2"));
});

const added = (heard: ReturnType<ReturnType<typeof open>["hear"]>) =>
  heard.map((each) => (each.case === "service" ? [each.value.found, each.value.endpointsAdded.map(({ id }) => id)] : each.case));

test("who holds endpoints of workloads that are expected back hears nothing until all are, or are waited for no more", () => {
  const { table, say, hear } = open();
  for (const id of ["w-1", "w-2", "w-3"]) table.expect(id, ["users.default", "198.18.0.5"]);
  for (const subscription of ["users", "198.18.0.5"]) say({ case: "subscribe", value: { subscription, revision: 77n } });
  assert.deepEqual(hear(), [], "not that there is no such service");
  table.set("users.default", service("users", []));
  assert.deepEqual(hear(), [], "nor that it has no endpoint");
  table.set("users.default", service("users", ["w-1"]));
  for (const id of ["w-1", "w-2"]) table.arrived(id);
  assert.deepEqual(hear(), [], "nor that it has fewer");
  table.set("users.default", service("users", ["w-1", "w-2"]));
  table.arrived("w-3");
  const all = [true, ["w-1", "w-2"]];
  assert.deepEqual(added(hear()), [all, all]);
  table.set("users.default", service("users", []));
  assert.equal(hear().length, 2, "from then on it hears every change");
});

test("who holds nothing hears of a service that is expected back as soon as it can be called", () => {
  const { table, say, hear } = open();
  for (const id of ["w-1", "w-2"]) table.expect(id, ["users.default"]);
  for (const subscription of ["users", "orders"]) say({ case: "subscribe", value: { subscription } });
  assert.deepEqual(added(hear()), [[false, []]], "others are answered");
  table.set("users.default", service("users", []));
  assert.deepEqual(hear(), []);
  table.set("users.default", service("users", ["w-1"]));
  table.arrived("w-1");
  assert.deepEqual(added(hear()), [[true, ["w-1"]]]);
  table.set("users.default", service("users", ["w-1", "w-2"]));
  assert.deepEqual(added(hear()), [[true, ["w-2"]]]);
});

test("a refused update is noted, and the rest of the stream goes on", () => {
  const { say, hear, rejected } = open();
  say({ case: "rejection", value: { subscription: "users", revision: 7n, reason: "odd" } });
  assert.deepEqual(rejected, [{ subscription: "users", revision: 7, reason: "odd" }]);
  say({ case: "subscribe", value: { subscription: "users" } });
  assert.equal(hear().length, 1);
});

test("subscriptions are bounded, and named when they are too long", () => {
  const { say } = open();
  assert.throws(() => say({ case: "subscribe", value: { subscription: "x".repeat(300) } }), { code: "WEFT-C-STREAM-VIOLATION" });
  const subscribeTo = (index: number) => say({ case: "subscribe", value: { subscription: `s${index}` } });
  for (let index = 0; index < maxSubscriptions; index++) subscribeTo(index);
  assert.throws(() => subscribeTo(maxSubscriptions), { code: "WEFT-C-TOO-MANY" });
});

test("whatever happens to services, and whenever the reader reads or reconnects, it ends up with what there is, as the digest says", () => {
  const change = fc.record({
    name: fc.constantFrom("a", "bb"),
    ids: fc.option(fc.uniqueArray(fc.constantFrom("w-1", "w-2", "w-3", "w-4")), { nil: undefined }),
    reader: fc.constantFrom("nothing", "read", "reconnect"),
  });
  fc.assert(
    fc.property(fc.array(change, { maxLength: 40 }), (changes) => {
      const table = new ServiceTable(1);
      const names = ["a", "bb.default.weft", "198.18.0.2"];
      const held = new Map<string, { revision: bigint; found: boolean; endpoints: Set<string> }>();
      const connect = () => {
        const stream = new DiscoveryStream(table, "default", new Wakeup(), () => {});
        stream.receive(create(DiscoveryWatchRequestSchema, { request: { case: "hello", value: {} } }));
        for (const subscription of names) {
          const value = { subscription, revision: held.get(subscription)?.revision ?? 0n };
          stream.receive(create(DiscoveryWatchRequestSchema, { request: { case: "subscribe", value } }));
        }
        return stream;
      };
      let stream = connect();
      const read = () => {
        for (const raw of stream.pending()) {
          const { response } = create(DiscoveryWatchResponseSchema, raw);
          if (response.case === "service") {
            const { subscription, revision, full, found, endpointsAdded, endpointsRemoved } = response.value;
            const before = held.get(subscription);
            assert.ok(revision >= (before?.revision ?? 0n), "revisions only grow");
            const endpoints = new Set(full || !found ? [] : before?.endpoints);
            for (const id of endpointsRemoved) assert.ok(endpoints.delete(id), `${id} was removed without having been there`);
            for (const { id } of endpointsAdded) endpoints.add(id);
            held.set(subscription, { revision, found, endpoints });
          } else if (response.case === "digest") {
            const { subscription, revision, endpointCount, endpointHash: hash } = response.value;
            const mine = held.get(subscription);
            assert.deepEqual([mine?.revision, mine?.endpoints.size], [revision, endpointCount]);
            assert.equal(endpointHash([...(mine?.endpoints ?? [])].map(endpoint)), hash);
          }
        }
      };
      for (const { name, ids, reader } of changes) {
        table.set(`${name}.default`, ids && service(name, ids.toSorted()));
        if (reader === "reconnect") {
          stream.close();
          stream = connect();
        }
        if (reader !== "nothing") read();
      }
      stream.digest();
      read();
      for (const subscription of names) {
        const now = table.get(subscription === "a" ? "a.default" : "bb.default")?.view;
        const mine = held.get(subscription);
        assert.equal(mine?.found, now !== undefined);
        assert.deepEqual([...(mine?.endpoints ?? [])].sort(), now?.endpoints.map(({ id }) => id) ?? []);
      }
    }),
  );
});

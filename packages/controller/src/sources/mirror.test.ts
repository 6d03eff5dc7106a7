import assert from "node:assert/strict";
import { test } from "node:test";
import { openMemoryStore } from "../store/memory.ts";
import type { Draft, Store, Write } from "../store/store.ts";
import { eventually } from "../testing/controllers.ts";
import { isManaged, managedLabel } from "./managed.ts";
import { Mirror } from "./mirror.ts";

const resource = "services";
const key = { resource, namespace: "default", name: "users" };
const draft = (ports: number[], labels: object = { [managedLabel]: "weft" }): Draft => ({
  apiVersion: "v1",
  kind: "Service",
  metadata: { name: "users", namespace: "default", labels },
  spec: { ports: ports.map((port) => ({ port })) },
});

function mirrored(t: { after(fn: () => void): void }, store: Store = openMemoryStore()) {
  const aborted = new AbortController();
  const errors: unknown[] = [];
  t.after(() => aborted.abort());
  const mirror = new Mirror({ store, resource, isOwn: isManaged, onError: (error) => errors.push(error), signal: aborted.signal });
  const ports = async () => ((await store.get(key))?.spec as { ports: { port: number }[] } | undefined)?.ports.map(({ port }) => port);
  return { store, mirror, errors, ports };
}

test("an object is made, changed and deleted as it should be", async (t) => {
  const { mirror, ports } = mirrored(t);
  mirror.set(key, draft([80]));
  await eventually(async () => (await ports())?.join() === "80");
  mirror.set(key, draft([80, 81]));
  await eventually(async () => (await ports())?.join() === "80,81");
  mirror.set(key, undefined);
  await eventually(async () => (await ports()) === undefined);
});

test("a person's object is never touched", async (t) => {
  const { store, mirror, ports } = mirrored(t);
  await store.write({ verb: "create", resource, object: draft([9], {}) });
  mirror.set(key, draft([80]));
  mirror.set({ namespace: "default", name: "other" }, { ...draft([80]), metadata: { ...draft([80]).metadata, name: "other" } });
  await eventually(async () => (await store.get({ ...key, name: "other" })) !== undefined);
  assert.deepEqual(await ports(), [9]);
  mirror.set(key, undefined);
  await mirror.sweep();
  mirror.set({ namespace: "default", name: "other" }, undefined);
  await eventually(async () => (await store.get({ ...key, name: "other" })) === undefined);
  assert.deepEqual(await ports(), [9]);
});

test("what an earlier controller left is deleted, and what is wanted is not", async (t) => {
  const { store, mirror, ports } = mirrored(t);
  await store.write({ verb: "create", resource, object: draft([80]) });
  await store.write({ verb: "create", resource, object: { ...draft([80]), metadata: { ...draft([80]).metadata, name: "left" } } });
  mirror.set(key, draft([80]));
  await mirror.sweep();
  await eventually(async () => (await store.get({ ...key, name: "left" })) === undefined);
  assert.deepEqual(await ports(), [80]);
});

test("what somebody deleted is made again, if it should be there", async (t) => {
  const { store, mirror, ports } = mirrored(t);
  mirror.set(key, draft([80]));
  await eventually(async () => (await ports()) !== undefined);
  await store.write({ verb: "delete", ...key });
  mirror.check(key);
  await eventually(async () => (await ports()) !== undefined);
  mirror.set(key, undefined);
  mirror.check(key);
  await eventually(async () => (await ports()) === undefined);
});

test("while it cannot be written it is tried again", async (t) => {
  const memory = openMemoryStore();
  let failures = 1;
  const failing: Store = Object.assign(Object.create(memory) as Store, {
    get: (each: typeof key) => memory.get(each),
    write: (write: Write) => {
      failures -= 1;
      return failures >= 0 ? Promise.reject(new Error("full")) : memory.write(write);
    },
  });
  const { mirror, errors, ports } = mirrored(t, failing);
  mirror.set(key, draft([80]));
  await eventually(async () => {
    const written = await memory.get(key);
    return written !== undefined;
  });
  assert.deepEqual([errors.length, await ports()], [1, [80]]);
});

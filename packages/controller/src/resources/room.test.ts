import assert from "node:assert/strict";
import { test } from "node:test";
import { openMemoryStore } from "../store/memory.ts";
import { Room } from "./room.ts";

test("a resource has so many objects and no more, and room again when one goes", async (t) => {
  const store = openMemoryStore();
  t.after(() => store.close());
  const room = new Room(3);
  const make = async (name: string) => {
    await room.take(store, "services");
    await store.write({ verb: "create", resource: "services", object: { apiVersion: "v1", kind: "Service", metadata: { name } } });
  };
  for (const name of ["a", "b", "c"]) await make(name);
  await assert.rejects(make("d"), { code: "WEFT-C-TOO-MANY" });
  await store.write({ verb: "delete", resource: "services", namespace: "", name: "a" });
  await make("d");
  await assert.rejects(make("e"), { code: "WEFT-C-TOO-MANY" });
});

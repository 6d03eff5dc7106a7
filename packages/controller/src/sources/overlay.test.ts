import assert from "node:assert/strict";
import { test } from "node:test";
import { service } from "../graph/testing/objects.ts";
import { Overlay } from "./overlay.ts";

const place = "default/users";
const { object: written } = service({ name: "users" });
const { object: running } = service({ name: "users" }, { ports: [{ port: 8080 }] });
const told = (events: ReturnType<Overlay["run"]>) =>
  events.map((event) => (event.type === "relisted" ? [event.type, ...event.objects] : [event.type, event.object]));

test("what people write holds in place of what follows from what runs, and that comes back when theirs goes", () => {
  const overlay = new Overlay("services");
  assert.deepEqual(told(overlay.run(place, running)), [["put", running]]);
  assert.deepEqual(told(overlay.write(place, written)), [["put", written]]);
  assert.ok(overlay.isWritten(place));
  assert.deepEqual(told(overlay.run(place, { ...running })), [], "it is not seen behind it");
  assert.deepEqual(told(overlay.run(place, running)), []);
  assert.deepEqual(told(overlay.write(place, undefined)), [["put", running]]);
  assert.deepEqual(told(overlay.run(place, undefined)), [["delete", running]]);
});

test("a list replaces what was written and nothing else", () => {
  const overlay = new Overlay("services");
  overlay.run(place, running);
  assert.deepEqual(told(overlay.listed([written])), [["relisted", written]]);
  assert.deepEqual(told(overlay.listed([])), [["relisted", running]]);
});

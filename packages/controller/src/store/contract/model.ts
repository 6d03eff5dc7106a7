import assert from "node:assert/strict";
import { type Change, compareRevisions, keyOf, type Metadata, type StoredObject, type Write } from "../store.ts";

/** All that there is at a revision. It is never changed. */
export interface World {
  readonly objects: ReadonlyMap<string, StoredObject>;
  readonly revision: string;
  /** Every uid that was ever given. */
  readonly uids: ReadonlySet<string>;
}

/** What a store answers to writes: objects, or the code of its refusal. */
export type Answer = { readonly objects: readonly StoredObject[] } | { readonly code: string };

export const emptyWorld = (revision: string): World => ({ objects: new Map(), revision, uids: new Set() });

export function pathOf(write: Write): string {
  const { resource, namespace, name } = keyOf(write);
  return `${resource}/${namespace}/${name}`;
}

/** The world after writes that belong together, and what changed. Throws, naming the rule, when a store must not answer so. */
export function step(world: World, writes: readonly Write[], answer: Answer): { world: World; changes: Change[] } {
  const refused = writes.map((write) => refusal(world, write)).find((each) => each !== undefined);
  if ("code" in answer) {
    assert.equal(
      answer.code,
      refused?.code,
      `${refused?.rule ?? "ST13"}: the answer to ${shown(writes)} is ${answer.code}, not ${refused?.code ?? "the object"}`,
    );
    return { world, changes: [] };
  }
  assert.equal(refused?.code, undefined, `${refused?.rule}: ${shown(writes)} was not refused`);
  assert.equal(answer.objects.length, writes.length, "ST14: each write of a transaction has its answer");
  const changes = writes.map((write, index) => judge(world, write, answer.objects[index] as StoredObject));
  const next = writes.reduce((sum, write, index) => after(sum, pathOf(write), changes[index]), world);
  return { world: next, changes: oneRevision(changes.filter((change) => change !== undefined)) };
}

function refusal(world: World, write: Write): { rule: string; code: string } | undefined {
  const current = world.objects.get(pathOf(write));
  if (write.verb === "create") return current && { rule: "ST2", code: "WEFT-C-OBJECT-EXISTS" };
  if (current === undefined) return { rule: "ST5", code: "WEFT-C-OBJECT-UNKNOWN" };
  const { uid, resourceVersion } = write.verb === "delete" ? write : write.object.metadata;
  if (resourceVersion === undefined && write.verb !== "delete") return { rule: "ST4", code: "WEFT-C-OBJECT-UNFIT" };
  const isSame =
    (uid ?? current.metadata.uid) === current.metadata.uid &&
    (resourceVersion ?? current.metadata.resourceVersion) === current.metadata.resourceVersion;
  return isSame ? undefined : { rule: "ST4", code: "WEFT-C-OBJECT-CHANGED" };
}

/** Nothing, or the change that a write was. */
function judge(world: World, write: Write, answer: StoredObject): Change | undefined {
  const current = world.objects.get(pathOf(write));
  const { uid, resourceVersion, generation, creationTimestamp } = answer.metadata;
  if (current === undefined) {
    assert.ok(!world.uids.has(uid), `ST8: the uid ${uid} was another object's`);
    assert.equal(generation, 1, "ST1: the generation of a new object is 1");
    assert.match(creationTimestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/, "ST1: creationTimestamp");
    assert.deepEqual(meaningOf(answer), meaningOf(wanted(write, undefined)), "ST1: a new object is what was written, without status");
  } else {
    const next = wanted(write, current);
    const same = (part: (object: StoredObject) => unknown) => JSON.stringify(sorted(part(next))) === JSON.stringify(sorted(part(current)));
    if (write.verb !== "delete" && same(meaningOf)) {
      assert.deepEqual(answer, current, "ST7: a write that changes nothing answers the object as it is, at its revision");
      return undefined;
    }
    assert.deepEqual(
      meaningOf(answer),
      meaningOf(next),
      `${write.verb === "update" ? "ST3" : write.verb === "status" ? "ST6" : "ST8"}: what the object is now`,
    );
    assert.equal(uid, current.metadata.uid, "ST3: the uid stays");
    assert.equal(creationTimestamp, current.metadata.creationTimestamp, "ST3: the creationTimestamp stays");
    const content = (object: StoredObject) => ({ ...object, metadata: undefined, status: undefined });
    assert.equal(
      generation,
      current.metadata.generation + (same(content) ? 0 : 1),
      "ST3: the generation moves with the content, and only then",
    );
  }
  assert.ok(
    compareRevisions(resourceVersion, world.revision) > 0,
    `ST12: the revision of a change, ${resourceVersion}, is not after ${world.revision}`,
  );
  return { type: write.verb === "delete" ? "delete" : "put", object: answer };
}

/** What the object is to be, but for what the store gives. */
function wanted(write: Write, current: StoredObject | undefined): StoredObject {
  if (write.verb === "delete") return current as StoredObject;
  const { status, ...rest } = (
    write.verb === "status" ? { ...current, status: write.object.status } : { ...write.object, status: current?.status }
  ) as StoredObject;
  return status === undefined ? (rest as StoredObject) : ({ ...rest, status } as StoredObject);
}

function meaningOf(object: StoredObject): unknown {
  const { uid, resourceVersion, generation, creationTimestamp, ...metadata }: Metadata = object.metadata;
  return JSON.parse(JSON.stringify({ ...object, metadata }));
}

function sorted(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(sorted);
  return Object.fromEntries(
    Object.entries(value)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, part]) => [key, sorted(part)]),
  );
}

function oneRevision(changes: Change[]): Change[] {
  const revisions = new Set(changes.map(({ object }) => object.metadata.resourceVersion));
  assert.ok(revisions.size <= 1, `ST14: a transaction has one revision, not ${[...revisions].join(" and ")}`);
  return changes;
}

function after(world: World, path: string, change: Change | undefined): World {
  if (change === undefined) return world;
  const { type, object } = change;
  const objects = new Map(world.objects);
  if (type === "put") objects.set(path, object);
  else objects.delete(path);
  return { objects, revision: object.metadata.resourceVersion, uids: new Set(world.uids).add(object.metadata.uid) };
}

function shown(writes: readonly Write[]): string {
  return writes.map((write) => `${write.verb} ${pathOf(write)}`).join(", ");
}

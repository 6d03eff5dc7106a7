import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { eventually } from "../testing/controllers.ts";
import { holdToOrder, runArbitrary } from "./contract/clients.ts";
import { FaultyJournal } from "./contract/faults.ts";
import { draft } from "./contract/steps.ts";
import { Recording } from "./contract/watching.ts";
import { type LocalOptions, LocalStore } from "./local.ts";
import type { Write } from "./store.ts";

const resource = "things.test.weft.dev";
const create = (name: string, more: object = {}): Write => ({ verb: "create", resource, object: { ...draft("ns1", name), ...more } });
const remove = (name: string): Write => ({ verb: "delete", resource, namespace: "ns1", name });
const withCode = (code: string) => ({ code: `WEFT-C-${code}` });

function faulty(options: LocalOptions = {}): { store: LocalStore; journal: FaultyJournal } {
  const journal = new FaultyJournal();
  return { journal, store: new LocalStore(journal, { entries: [], floor: 0 }, options) };
}

test("ST28 what cannot be written was not made, reads and watches go on, and writing works again once it can", async (t) => {
  const { store, journal } = faulty();
  t.after(() => store.close());
  const recording = new Recording(store, resource, { from: "0" });
  await store.write(create("before"));
  journal.error = new Error("database or disk is full");
  const writes = [
    store.write(create("a")),
    store.write(create("a")),
    store.transaction([create("b"), create("c")]),
    store.write(remove("before")),
  ];
  for (const write of writes) await assert.rejects(write, { code: "WEFT-C-STORE-UNWRITABLE", message: /disk is full/ });
  assert.match(store.trouble?.message ?? "", /disk is full/);
  await recording.untilNamed("before");
  assert.deepEqual((await store.list(resource)).items.length, 1);
  journal.error = undefined;
  await eventually(() => store.trouble === undefined, "the trouble goes without a write");
  await store.write(create("a"));
  await recording.untilNamed("a");
  assert.deepEqual(
    recording.changes.map(({ object }) => object.metadata.resourceVersion),
    ["1", "2"],
  );
  await recording.stop();
});

test("ST28 commits that fail leave no trace, whatever clients do at once", async () => {
  const failing = fc.array(fc.integer({ min: 1, max: 12 }), { maxLength: 6 });
  const property = fc.asyncProperty(runArbitrary, failing, async (run, commits) => {
    const { store, journal } = faulty();
    journal.failing = commits;
    // What clients write last has to be written.
    const release = () => {
      journal.failing = [];
    };
    await holdToOrder(store, resource, { ...run, release });
    await store.close();
  });
  await fc.assert(property, { numRuns: 100 });
});

test("ST28 an answer that depends on a write which fails is not given", async (t) => {
  const { store, journal } = faulty();
  t.after(() => store.close());
  journal.error = new Error("full");
  const [made, exists] = [store.write(create("a")), store.write(create("a"))];
  await assert.rejects(made, withCode("STORE-UNWRITABLE"));
  await assert.rejects(exists, withCode("STORE-UNWRITABLE"));
});

test("ST29 a disk that does not answer keeps nobody waiting, and what it did in the end is seen", async (t) => {
  const { store, journal } = faulty({ patienceMs: 20 });
  t.after(() => store.close());
  const recording = new Recording(store, resource, { from: "0" });
  journal.stall();
  const first = store.write(create("first"));
  await new Promise((resolve) => setImmediate(resolve));
  const second = store.write(create("second"));
  await Promise.all([assert.rejects(first, withCode("STORE-UNSURE")), assert.rejects(second, withCode("STORE-UNWRITABLE"))]);
  await assert.rejects(store.write(create("third")), withCode("STORE-UNWRITABLE"));
  assert.deepEqual((await store.list(resource)).items, []);
  assert.match(store.trouble?.message ?? "", /not answered/);
  journal.flow();
  await recording.untilNamed("first");
  assert.equal(store.trouble, undefined);
  await store.write(create("second"));
  await recording.untilNamed("second");
  assert.equal(recording.changes.length, 2);
  await recording.stop();
});

test("ST28 writes that come faster than they can be made are refused, and not kept", async (t) => {
  const { store, journal } = faulty();
  t.after(() => store.close());
  journal.stall();
  const text = "x".repeat(1_000_000);
  const writes = Array.from({ length: 80 }, (_, index) => store.write(create(`a${index}`, { text })));
  const busy = Promise.allSettled(writes).then((all) => all.filter((each) => each.status === "rejected").map(({ reason }) => reason.code));
  journal.flow();
  const codes = await busy;
  assert.ok(codes.length > 0 && codes.length < 40, `${codes.length} were refused`);
  assert.deepEqual([...new Set(codes)], ["WEFT-C-STORE-BUSY"]);
  assert.equal((await store.list(resource)).items.length, 80 - codes.length);
});

test("what one turn of the event loop asks for is written at once, and what nobody needs any more is dropped", async (t) => {
  const { store, journal } = faulty({ history: { changes: 3 } });
  t.after(() => store.close());
  await Promise.all(["a", "b", "c"].map((name) => store.write(create(name))));
  assert.equal(journal.commits.length, 1);
  await store.write(remove("a"));
  journal.error = new Error("full");
  await assert.rejects(store.write(create("d")), withCode("STORE-UNWRITABLE"));
  journal.error = undefined;
  await store.write(create("d"));
  await store.write(create("e"));
  await store.write(create("f"));
  await store.write(create("g"));
  const drops = journal.commits.flatMap((commit) => commit.drops);
  assert.deepEqual(drops, [1, 4], "the creation of a, and its deletion");
  const entries = journal.commits.flatMap((commit) => commit.entries).filter(({ sequence }) => !drops.includes(sequence));
  const again = new LocalStore(undefined, { entries, floor: journal.commits.at(-1)?.floor ?? 0 });
  assert.deepEqual(await again.list(resource), await store.list(resource));
});

test("entries are numbered anew each, also beside writes that change nothing", async (t) => {
  const { store } = faulty();
  t.after(() => store.close());
  const made = await store.write(create("a"));
  const same: Write = { verb: "update", resource, object: made };
  await Promise.all([store.transaction([same, create("b")]), store.transaction([create("c"), same]), store.write(create("d"))]);
  assert.equal((await store.list(resource)).items.length, 4);
});

test("history is bounded by size and by age, too", async (t) => {
  const old = { sequence: 1, revision: 1, resource, namespace: "ns1", name: "old", deleted: false, size: 10, at: Date.now() - 7_200_000 };
  const object = { ...draft("ns1", "old") } as never;
  for (const history of [{ ageMs: 3_600_000 }, { characters: 5, ageMs: Number.POSITIVE_INFINITY }]) {
    const store = new LocalStore(undefined, { entries: [{ ...old, object }], floor: 0 }, { history });
    t.after(() => store.close());
    const recording = new Recording(store, resource, { from: "0" });
    await recording.ended;
    assert.deepEqual(recording.events, [{ type: "expired" }]);
    assert.equal((await store.list(resource)).items.length, 1);
  }
});

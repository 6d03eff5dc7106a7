import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import * as fc from "fast-check";
import { follow } from "../follow.ts";
import { compareRevisions, type Key, type Store, type StoredObject, type WatchEvent, type Write } from "../store.ts";
import { explain, newest, type Operation, operate } from "./concurrent.ts";
import { type Fault, withFaults } from "./faults.ts";
import { draft, Memory, type Steps, stepsArbitrary, writeOf } from "./steps.ts";
import { brokenPromises } from "./watch-rules.ts";
import { Recording } from "./watching.ts";

/** A store to hold to its contract. */
export interface Subject {
  store: Store;
  /** Has so much happen that nothing of what happened before is known any more. */
  forget(): Promise<void>;
  /** Lets time pass on the clock of leases. */
  elapse(ms: number): Promise<void>;
  /** Ends the store, and opens it again. */
  reopen(): Promise<Store>;
}

export interface ContractOptions {
  /** Opens an empty store that goes with the test. */
  open(t: TestContext): Promise<Subject>;
  /** How many random cases are tried. */
  runs: number;
  /** Whether it remembers after it was reopened. */
  isDurable: boolean;
}

const resource = "things.test.weft.dev";
const key = (name: string, namespace = "ns1"): Key => ({ resource, namespace, name });
const create = (name: string, namespace = "ns1", value = 0): Write => ({ verb: "create", resource, object: draft(namespace, name, value) });
const update = (object: StoredObject, value: unknown): Write => ({ verb: "update", resource, object: { ...object, spec: { value } } });
const status = (object: StoredObject, value: unknown): Write => ({ verb: "status", resource, object: { ...object, status: { value } } });
const remove = (name: string, precondition = {}): Write => ({ verb: "delete", ...key(name), ...precondition });
const withCode = (code: string) => ({ code: `WEFT-C-${code}` });
const names = (items: readonly StoredObject[]) => items.map(({ metadata }) => metadata.name).toSorted();

/** Registers the tests that every store passes; SPEC.md has the rules whose ids they begin with. */
export function storeContract(kind: string, { open, runs, isDurable }: ContractOptions): void {
  const rule = (name: string, body: (subject: Subject, t: TestContext) => Promise<void>) =>
    test(`${kind}: ${name}`, async (t) => {
      const subject = await open(t);
      t.after(() => subject.store.close());
      await body(subject, t);
    });

  rule("ST1 an object is made as it is given, but for what the store gives it", async ({ store }) => {
    const own = { uid: "mine", resourceVersion: "1", generation: 7, creationTimestamp: "1970-01-01T00:00:00Z" };
    const object = {
      ...draft("ns1", "a", 1, { ...own, labels: { a: "b" }, finalizers: ["c"] }),
      status: { value: 1 },
      other: [1, null, "ü"],
    };
    const made = await store.write({ verb: "create", resource, object });
    const { uid, resourceVersion, creationTimestamp, ...metadata } = made.metadata;
    assert.deepEqual(
      { ...made, metadata },
      { ...draft("ns1", "a", 1, { generation: 1, labels: { a: "b" }, finalizers: ["c"] }), other: [1, null, "ü"] },
    );
    assert.notEqual(uid, "mine");
    assert.ok(Math.abs(Date.parse(creationTimestamp) - Date.now()) < 3_600_000);
    assert.ok(resourceVersion);
    assert.deepEqual(await store.get(key("a")), made);
    const free = await store.write({ verb: "create", resource, object: draft("", "a") });
    assert.equal("namespace" in free.metadata, false);
    assert.deepEqual(await store.get(key("a", "")), free);
  });

  rule("ST2 ST5 what is there is not made again, and what is not there is not changed", async ({ store }) => {
    const made = await store.write(create("a"));
    await assert.rejects(store.write(create("a")), withCode("OBJECT-EXISTS"));
    await store.write(remove("a"));
    for (const write of [update(made, 1), status(made, 1), remove("a")])
      await assert.rejects(store.write(write), withCode("OBJECT-UNKNOWN"));
    assert.equal(await store.get(key("a")), undefined);
  });

  rule("ST3 ST6 an update leaves the status alone, a status everything else, and only content moves the generation", async ({ store }) => {
    const made = await store.write(create("a"));
    const judged = await store.write({
      verb: "status",
      resource,
      object: { ...draft("ns1", "a", 9, { labels: { not: "stored" } }), metadata: made.metadata, status: { ok: true } },
    });
    assert.deepEqual(judged, {
      ...made,
      metadata: { ...made.metadata, resourceVersion: judged.metadata.resourceVersion },
      status: { ok: true },
    });
    const labelled = await store.write({
      verb: "update",
      resource,
      object: { ...judged, status: { ok: false }, metadata: { ...judged.metadata, labels: { a: "b" } } },
    });
    assert.deepEqual([labelled.status, labelled.metadata.generation, labelled.metadata.labels], [{ ok: true }, 1, { a: "b" }]);
    const changed = await store.write(update(labelled, 2));
    assert.deepEqual([changed.status, changed.metadata.generation, changed.spec], [{ ok: true }, 2, { value: 2 }]);
    assert.deepEqual([changed.metadata.uid, changed.metadata.creationTimestamp], [made.metadata.uid, made.metadata.creationTimestamp]);
    const { spec: _, ...bare } = changed;
    const without = await store.write({ verb: "update", resource, object: bare });
    assert.deepEqual(["spec" in without, without.metadata.generation], [false, 3]);
    const { status: __, ...unjudged } = without;
    assert.equal("status" in (await store.write({ verb: "status", resource, object: unjudged })), false);
  });

  rule("ST4 only what is still as it was read is changed", async ({ store }) => {
    const first = await store.write(create("a"));
    const second = await store.write(update(first, 1));
    const another = { ...second, metadata: { ...second.metadata, uid: "another" } };
    const { resourceVersion, ...unversioned } = second.metadata;
    for (const write of [
      update(first, 2),
      status(first, 2),
      remove("a", { resourceVersion: first.metadata.resourceVersion }),
      update(another, 2),
      remove("a", { uid: "another" }),
    ])
      await assert.rejects(store.write(write), withCode("OBJECT-CHANGED"));
    for (const verb of ["update", "status"] as const)
      await assert.rejects(store.write({ verb, resource, object: { ...second, metadata: unversioned } }), withCode("OBJECT-UNFIT"));
    assert.deepEqual(await store.get(key("a")), second);
    const racing = await Promise.allSettled([1, 2, 3].map((value) => store.write(update(second, `by ${value}`))));
    assert.equal(racing.filter((each) => each.status === "fulfilled").length, 1);
    await store.write(remove("a", { uid: second.metadata.uid }));
  });

  rule("ST7 a write that changes nothing makes no revision and no event", async ({ store }) => {
    const made = await store.write(create("a", "ns1", 1));
    const judged = await store.write(status(made, 1));
    const { revision } = await store.list(resource);
    const recording = new Recording(store, resource, { from: revision });
    const { spec, apiVersion, ...rest } = judged;
    assert.deepEqual(await store.write({ verb: "update", resource, object: { spec, ...rest, apiVersion } }), judged);
    assert.deepEqual(await store.write(status(judged, 1)), judged);
    assert.equal((await store.list(resource)).revision, revision);
    await store.write(create("b"));
    await recording.untilNamed("b");
    assert.equal(recording.events.length, 1);
    await recording.stop();
  });

  rule("ST8 a deletion has a revision, and what is made anew has another uid", async ({ store }) => {
    const made = await store.write(create("a"));
    const recording = new Recording(store, resource, { from: made.metadata.resourceVersion });
    const deleted = await store.write(remove("a"));
    const again = await store.write(create("a"));
    assert.deepEqual(deleted, { ...made, metadata: { ...made.metadata, resourceVersion: deleted.metadata.resourceVersion } });
    assert.ok(compareRevisions(deleted.metadata.resourceVersion, made.metadata.resourceVersion) > 0);
    assert.notEqual(again.metadata.uid, made.metadata.uid);
    await recording.until((event) => event.type === "changes" && event.revision === again.metadata.resourceVersion);
    assert.deepEqual(recording.changes, [
      { type: "delete", object: deleted },
      { type: "put", object: again },
    ]);
    await recording.stop();
  });

  rule("ST9 what cannot be stored is refused", async ({ store }) => {
    const circle: Record<string, unknown> = {};
    circle.self = circle;
    const unfit: Write[] = [
      { verb: "create", resource, object: { ...draft("ns1", "a"), circle } },
      { verb: "create", resource, object: { ...draft("ns1", "a"), big: 1n } },
      { verb: "create", resource, object: { ...draft("ns1", "a"), long: "x".repeat(1 << 20) } },
      { verb: "create", resource, object: { apiVersion: "v1", kind: "Thing" } as never },
      { verb: "create", resource: "", object: draft("ns1", "a") },
      create(""),
      create("a/b"),
      create("b", "ns1/a"),
      { verb: "delete", resource: "a/b", namespace: "c", name: "d" },
    ];
    for (const write of unfit) await assert.rejects(store.write(write), withCode("OBJECT-UNFIT"));
    assert.deepEqual((await store.list(resource)).items, []);
    for (const name of ["__proto__", "constructor", "a.b-c", "ü", "a b"])
      assert.equal((await store.write(create(name))).metadata.name, name);
    const odd = await store.write({
      verb: "create",
      resource,
      object: JSON.parse('{"apiVersion":"v1","kind":"Thing","metadata":{"name":"odd"},"spec":{"__proto__":{"a":1},"0":-0}}'),
    });
    assert.deepEqual(Object.keys(odd.spec as object), ["0", "__proto__"]);
    assert.equal((await store.list(resource)).items.length, 6);
  });

  rule("ST10 what was given out never changes, and what was handed in can", async ({ store }) => {
    const object = { ...draft("ns1", "a"), spec: { list: [{ a: 1 }] } };
    const asked = store.write({ verb: "create", resource, object });
    object.spec.list.push({ a: 2 });
    const made = await asked;
    assert.deepEqual(made.spec, { list: [{ a: 1 }] });
    assert.throws(() => {
      (made.spec as typeof object.spec).list.push({ a: 3 });
    }, TypeError);
    const before = JSON.stringify(made);
    await store.write(update(made, 2));
    assert.equal(JSON.stringify(made), before);
  });

  rule("ST11 a list has all of one resource, and ns1 is not ns10", async ({ store }) => {
    for (const namespace of ["ns1", "ns10", "ns", ""]) await store.write(create(`in-${namespace || "none"}`, namespace));
    await store.write({ verb: "create", resource: `other${resource}`, object: draft("ns1", "other") });
    assert.deepEqual(names((await store.list(resource)).items), ["in-none", "in-ns", "in-ns1", "in-ns10"]);
    for (const namespace of ["ns1", "ns10", "ns", ""])
      assert.deepEqual(names((await store.list(resource, namespace)).items), [`in-${namespace || "none"}`]);
    assert.deepEqual((await store.list(resource, "ns100")).items, []);
    assert.deepEqual((await store.list("unheard.test")).items, []);
  });

  rule("ST14 a transaction is made whole or not at all", async ({ store }) => {
    if (store.maxTransaction === 1) return assert.rejects(store.transaction([create("a"), create("b")]), withCode("OBJECT-UNFIT"));
    const old = await store.write(create("old"));
    const there = await store.write(create("there"));
    const { revision: from } = await store.list(resource);
    const recording = new Recording(store, resource, { from });
    await assert.rejects(store.transaction([create("a"), update(old, 1), create("there"), remove("none")]), withCode("OBJECT-EXISTS"));
    await assert.rejects(store.transaction([create("a"), create("a")]), withCode("OBJECT-UNFIT"));
    const tooMany = Array.from({ length: store.maxTransaction + 1 }, (_, index) => create(`many${index}`));
    await assert.rejects(store.transaction(tooMany), withCode("OBJECT-UNFIT"));
    assert.deepEqual(await store.list(resource), { items: [old, there], revision: from });
    const made = await store.transaction([create("a"), update(old, 1), update(there, 1), create("b")]);
    assert.equal(new Set(made.map(({ metadata }) => metadata.resourceVersion)).size, 1);
    await recording.untilNamed("b");
    assert.deepEqual(
      recording.events.map((event) => (event.type === "changes" ? event.changes.length : event.type)),
      [4],
    );
    assert.deepEqual(await store.transaction([]), []);
    await recording.stop();
  });

  rule("ST19 a watch goes on from any revision that is still known", async ({ store }) => {
    const { revision: start } = await store.list(resource);
    for (let index = 0; index < 8; index++) await store.write(create(`a${index}`, `ns${index % 2}`));
    const whole = new Recording(store, resource, { from: start });
    await whole.untilNamed("a7");
    for (const { object } of whole.changes.slice(0, -1)) {
      const rest = new Recording(store, resource, { from: object.metadata.resourceVersion });
      await rest.untilNamed("a7");
      assert.deepEqual(brokenPromises(whole.changes, rest), []);
      await rest.stop();
    }
    await whole.stop();
  });

  rule("ST20 a watch that has nothing to tell gets a bookmark before its place is forgotten", async ({ store, forget }) => {
    await store.write(create("a"));
    const { revision: from } = await store.list(resource);
    const recording = new Recording(store, resource, { from });
    await Promise.all([forget(), recording.until(({ type }) => type === "bookmark")]);
    const bookmark = recording.events.at(-1) as WatchEvent & { revision: string };
    assert.ok(compareRevisions(bookmark.revision, from) > 0);
    const resumed = new Recording(store, resource, { from: bookmark.revision });
    await store.write(create("b"));
    await resumed.untilNamed("b");
    await recording.untilNamed("b");
    await Promise.all([recording.stop(), resumed.stop()]);
  });

  rule("ST21 ST22 a watch that is not read holds up nobody, and expires", async ({ store, forget }, t) => {
    const { revision: from } = await store.list(resource);
    const stop = new AbortController();
    t.after(() => stop.abort());
    const idle = store.watch(resource, { from, signal: stop.signal })[Symbol.asyncIterator]();
    await store.write(create("a"));
    assert.equal((await idle.next()).value?.type, "changes");
    await store.write(create("b"));
    await forget();
    assert.deepEqual(await idle.next(), { value: { type: "expired" }, done: false });
    assert.equal((await idle.next()).done, true);
    for (const revision of [from, `${newest([(await store.list(resource)).revision])}0`]) {
      const recording = new Recording(store, resource, { from: revision });
      await recording.ended;
      assert.deepEqual(recording.events, [{ type: "expired" }]);
    }
  });

  rule("ST23 a watch ends with its signal, and with the store", async ({ store }) => {
    const { revision: from } = await store.list(resource);
    const [one, other] = [new Recording(store, resource, { from }), new Recording(store, resource, { from })];
    await one.stop();
    const ended = new Recording(store, resource, { from });
    await store.close();
    await Promise.all([other.ended, ended.ended]);
    assert.deepEqual([...one.events, ...other.events], []);
    await assert.rejects(store.write(create("a")), withCode("STORE-UNWRITABLE"));
  });

  rule("ST24 ST25 ST26 ST27 one holder at a time has a lease, as long as it renews it in time", async ({ store, elapse }) => {
    const ttlMs = 400;
    const first = await store.acquire("leader", ttlMs);
    assert.ok(first?.held);
    assert.equal(await store.acquire("leader", ttlMs), undefined);
    assert.ok(await store.acquire("another", ttlMs));
    await elapse(ttlMs / 2);
    assert.equal(await first.renew(), true);
    await elapse((ttlMs * 3) / 4);
    assert.equal(first.held, true);
    assert.equal(await store.acquire("leader", ttlMs), undefined);
    await elapse(ttlMs);
    assert.equal(first.held, false);
    const second = await store.acquire("leader", ttlMs);
    assert.ok(second?.held);
    assert.equal(await first.renew(), false);
    await first.release();
    assert.deepEqual([first.held, second.held], [false, true]);
    assert.equal(await store.acquire("leader", ttlMs), undefined);
    await second.release();
    assert.equal(second.held, false);
    assert.ok((await store.acquire("leader", ttlMs))?.held);
  });

  let run = 0;
  const faults = fc.array(
    fc.record({ call: fc.integer({ min: 1, max: 20 }), when: fc.constantFrom("before" as const, "after" as const) }),
    { maxLength: 3 },
  );
  const scripts = fc.array(fc.array(stepsArbitrary, { maxLength: 10 }), { minLength: 1, maxLength: 4 });
  rule(
    "ST12 ST13 ST15 to ST20 ST30 whatever clients do at once, some order explains all answers, and watches tell it",
    async ({ store }) => {
      await fc.assert(
        fc.asyncProperty(
          fc.scheduler(),
          scripts,
          faults,
          fc.array(fc.nat(30), { maxLength: 3 }),
          async (scheduler, clients, lost, watchAt) => {
            run += 1;
            await holdToOrder(store, `run${run}.test.weft.dev`, { scheduler, clients, lost, watchAt });
          },
        ),
        { numRuns: runs },
      );
    },
  );

  rule("ST18 ST21 a follower ends with what the store has, whatever it loses", async ({ store, forget }, t) => {
    const stop = new AbortController();
    t.after(() => stop.abort());
    const shaky = withFaults(store, { faults: [1, 3, 4].map((call): Fault => ({ call, when: "before" })), watchEvents: 2 });
    const known = new Map<string, StoredObject>();
    const lists: number[] = [];
    let errors = 0;
    const followed = (async () => {
      for await (const event of follow(shaky, resource, { signal: stop.signal, onError: () => errors++, pause: async () => {} })) {
        if (event.type === "listed") {
          known.clear();
          lists.push(event.items.length);
          for (const object of event.items) known.set(object.metadata.name, object);
          continue;
        }
        for (const { type, object } of event.changes)
          type === "put" ? known.set(object.metadata.name, object) : known.delete(object.metadata.name);
        // It reads no more while so much happens that its place is forgotten.
        if (known.has("pause") && lists.length === 1) await forget();
        if (known.has("end")) return;
      }
    })();
    for (let index = 0; index < 12; index++) await store.write(create(`a${index}`));
    await store.write(create("pause"));
    for (let index = 0; index < 6; index++) await store.write(remove(`a${index}`));
    while (lists.length < 2) await forget();
    await store.write(create("end"));
    await followed;
    assert.deepEqual(names([...known.values()]), names((await store.list(resource)).items));
    assert.ok(errors >= 4, `only ${errors} faults were met`);
  });

  if (!isDurable) {
    rule("ST21 what was there before is gone after a restart, and watches of before expire", async (subject) => {
      await subject.store.write(create("a"));
      const { revision: from } = await subject.store.list(resource);
      const again = await subject.reopen();
      assert.deepEqual((await again.list(resource)).items, []);
      const recording = new Recording(again, resource, { from });
      await recording.ended;
      assert.deepEqual(recording.events, [{ type: "expired" }]);
    });
    return;
  }

  rule("ST31 ST32 what was acknowledged is there after a restart, and watches go on", async (subject) => {
    const { store } = subject;
    const { revision: from } = await store.list(resource);
    const made = await store.write(create("a"));
    await store.write(status(made, 1));
    await store.write(create("b"));
    const deleted = await store.write(remove("b"));
    const before = await store.list(resource);
    const again = await subject.reopen();
    assert.deepEqual(await again.list(resource), before);
    const later = await again.write(create("c"));
    assert.ok(compareRevisions(later.metadata.resourceVersion, deleted.metadata.resourceVersion) > 0);
    const recording = new Recording(again, resource, { from });
    await recording.untilNamed("c");
    const seen = recording.changes.map(({ type, object }) => `${type} ${object.metadata.name}`);
    assert.deepEqual(seen, ["put a", "put a", "put b", "delete b", "put c"]);
    assert.deepEqual(recording.changes[3]?.object, deleted);
    await recording.stop();
  });

  rule("ST31 ST32 a store whose history is forgotten goes on with its objects and revisions", async (subject) => {
    const first = await subject.store.write(create("a"));
    const second = await subject.store.write(update(first, 2));
    await subject.store.write(create("b"));
    await subject.store.write(remove("b"));
    await subject.forget();
    const before = await subject.store.list(resource);
    const again = await subject.reopen();
    assert.deepEqual(await again.list(resource), before);
    assert.deepEqual(before.items, [second]);
    const recording = new Recording(again, resource, { from: first.metadata.resourceVersion });
    await recording.ended;
    assert.deepEqual(recording.events, [{ type: "expired" }]);
  });
}

interface Run {
  scheduler: fc.Scheduler;
  clients: Steps[][];
  lost: Fault[];
  /** Before which operations a watch begins, from some revision that is known then. */
  watchAt: number[];
}

/** Lets clients write in an order that the scheduler chooses, and holds all that they heard against the contract. */
async function holdToOrder(store: Store, of: string, { scheduler, clients, lost, watchAt }: Run): Promise<void> {
  const { revision: start } = await store.list(of);
  const observer = new Recording(store, of, { from: start });
  const watches: Recording[] = [];
  const shaky = withFaults(store, { faults: lost });
  const memory = new Memory();
  const clock = { now: 0 };
  const operations: Operation[] = [];
  const revisions = [start];
  let asked = 0;
  const client = async (script: Steps[], number: number) => {
    for (const steps of script) {
      await scheduler.schedule(Promise.resolve(), `client ${number} asks`);
      asked += 1;
      if (watchAt.includes(asked))
        watches.push(
          new Recording(store, of, { from: revisions[asked % revisions.length] ?? start, namespace: [undefined, "ns1"][asked % 2] }),
        );
      const writes = steps.map((each) => writeOf(each, of, memory)).slice(0, store.maxTransaction);
      const operation = await operate(shaky, writes, clock);
      operations.push(operation);
      await scheduler.schedule(Promise.resolve(), `client ${number} hears`);
      const objects = operation.answer && "objects" in operation.answer ? operation.answer.objects : [];
      memory.remember(objects);
      revisions.push(...objects.map(({ metadata }) => metadata.resourceVersion));
    }
  };
  await scheduler.waitFor(Promise.all(clients.map(client)));
  for (const namespace of ["ns1", "ns10"]) {
    operations.push(await operate(store, [{ verb: "create", resource: of, object: draft(namespace, "last") }], clock));
    const concerned = [observer, ...watches].filter((watch) => (watch.namespace ?? namespace) === namespace);
    await Promise.all(concerned.map((watch) => watch.untilNamed("last", namespace)));
  }
  const world = explain(start, observer.changes, operations);
  assert.deepEqual(byPath((await store.list(of)).items), byPath([...world.objects.values()]), "ST11: the list is what came of all writes");
  for (const watch of [observer, ...watches]) {
    assert.deepEqual(brokenPromises(observer.changes, watch), []);
    await watch.stop();
  }
}

function byPath(items: readonly StoredObject[]): Record<string, StoredObject> {
  return Object.fromEntries(items.map((object) => [`${object.metadata.namespace}/${object.metadata.name}`, object]));
}

import assert from "node:assert/strict";
import { compareRevisions, type Write } from "../store.ts";
import { draft } from "./steps.ts";
import { create, key, names, type Rule, remove, resource, status, update, withCode } from "./subject.ts";
import { Recording } from "./watching.ts";

/** Objects, lists and transactions: ST1 to ST14. */
export function objectRules(rule: Rule): void {
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
}

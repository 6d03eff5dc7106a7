import assert from "node:assert/strict";
import { follow } from "../follow.ts";
import { compareRevisions, type StoredObject, type WatchEvent } from "../store.ts";
import { type Fault, withFaults } from "./faults.ts";
import { create, names, type Rule, remove, resource } from "./subject.ts";
import { brokenPromises } from "./watch-rules.ts";
import { Recording } from "./watching.ts";

/** Watches, and what follows a resource by them: ST18 to ST23. */
export function watchRules(rule: Rule): void {
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
    for (const revision of [from, `${(await store.list(resource)).revision}0`]) {
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
  });

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
}

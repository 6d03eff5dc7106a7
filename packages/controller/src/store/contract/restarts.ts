import assert from "node:assert/strict";
import { compareRevisions } from "../store.ts";
import { create, type Rule, remove, resource, status, update } from "./subject.ts";
import { Recording } from "./watching.ts";

/** What is there after a restart: ST31 and ST32; for a store that forgets, ST21. */
export function restartRules(rule: Rule, { isDurable }: { isDurable: boolean }): void {
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

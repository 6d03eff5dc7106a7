import assert from "node:assert/strict";
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type TestContext, test } from "node:test";
import { temporaryDirectory } from "../testing/controllers.ts";
import { draft } from "./contract/steps.ts";
import { Recording } from "./contract/watching.ts";
import { restore } from "./restore.ts";
import { openSqliteStore } from "./sqlite.ts";
import { compareRevisions, type StoredObject, type Write } from "./store.ts";

const resource = "things.test.weft.dev";

async function backedUp(t: TestContext): Promise<{ directory: string; backup: string }> {
  const directory = temporaryDirectory(t);
  const backup = join(directory, "backup");
  const store = await openSqliteStore(join(directory, "source.db"));
  for (let index = 0; index < 50; index++)
    await store.write({ verb: "create", resource, object: { ...draft("ns1", `a${index}`), text: "x".repeat(1000) } });
  await store.backup(backup);
  await store.close();
  return { directory, backup };
}

const firstValue = (objects: readonly StoredObject[]) => (objects.at(0)?.spec as { value: number } | undefined)?.value ?? Number.NaN;

test("a backup that is made while others write has all that was acknowledged before, and no half of a transaction", async (t) => {
  const directory = temporaryDirectory(t);
  const [path, backup, restored] = ["store.db", "backup", "restored.db"].map((name) => join(directory, name)) as [string, string, string];
  const store = await openSqliteStore(path);
  t.after(() => store.close());
  const pair = (value: number, last: readonly StoredObject[] = []): Write[] =>
    ["left", "right"].map((name, index) =>
      last[index] === undefined
        ? { verb: "create", resource, object: draft("ns1", name, value) }
        : { verb: "update", resource, object: { ...last[index], spec: { value } } },
    );
  let objects = await store.transaction(pair(0));
  let value = 0;
  let isDone = false;
  const writing = (async () => {
    while (!isDone) {
      value += 1;
      objects = await store.transaction(pair(value, objects));
    }
  })();
  while (value < 20) await new Promise((resolve) => setImmediate(resolve));
  const acknowledged = firstValue(objects);
  await store.backup(backup);
  isDone = true;
  await writing;
  const { revision: head } = await store.list(resource);

  restore(backup, restored);
  assert.equal(statSync(restored).mode & 0o777, 0o600);
  const again = await openSqliteStore(restored);
  t.after(() => again.close());
  const { items, revision } = await again.list(resource);
  const [left, right] = [firstValue(items), firstValue(items.toReversed())];
  assert.equal(left, right);
  assert.ok(left >= acknowledged && left <= value, `${left} is not from ${acknowledged} to ${value}`);
  assert.ok(compareRevisions(revision, head) > 0, "no revision is given out twice");
  const expired = new Recording(again, resource, { from: head });
  await expired.ended;
  assert.deepEqual(expired.events, [{ type: "expired" }]);
  const recording = new Recording(again, resource, { from: revision });
  await again.transaction(pair(left + 1, items));
  await recording.untilNamed("left");
  await recording.stop();
});

test("what is damaged, foreign or no backup is not restored, and leaves nothing behind", async (t) => {
  const { directory, backup } = await backedUp(t);
  const bad = (name: string, spoil: (path: string) => void) => {
    const path = join(directory, name);
    copyFileSync(backup, path);
    spoil(path);
    return path;
  };
  const flip = (at: number) => (path: string) => {
    const bytes = readFileSync(path);
    bytes[at] = (bytes[at] ?? 0) ^ 0xff;
    writeFileSync(path, bytes);
  };
  const size = statSync(backup).size;
  const edit = (sql: string) => (path: string) => new DatabaseSync(path).exec(sql);
  const damaged = [
    bad("cut", (path) => truncateSync(path, Math.floor(size / 2))),
    bad("empty", (path) => truncateSync(path, 0)),
    bad("head", flip(3)),
    bad("page", flip(4096 * 2)),
    bad("bit", (path) => flip(readFileSync(path).lastIndexOf("xxxxxx"))(path)),
    bad("json", edit("UPDATE change SET body = substr(body, 2) WHERE sequence = 7")),
    bad("lost", edit("DROP TABLE meta")),
    bad("newer", edit("PRAGMA user_version = 99")),
    bad("foreign", edit("PRAGMA application_id = 7")),
    join(directory, "none"),
    directory,
  ];
  const store = await openSqliteStore(join(directory, "used.db"));
  t.after(() => store.close());
  const before = readdirSync(directory).toSorted();
  for (const path of [...damaged, join(directory, "used.db")]) {
    assert.throws(() => restore(path, join(directory, "target.db")), { code: "WEFT-C-STORE-DAMAGED" }, path);
    assert.deepEqual(readdirSync(directory).toSorted(), before, path);
  }
});

test("a backup takes the place of no store, and of an older backup only when it is whole", async (t) => {
  const { directory, backup } = await backedUp(t);
  const [there, behind] = [join(directory, "there.db"), join(directory, "behind.db")];
  writeFileSync(there, "");
  writeFileSync(`${behind}-wal`, "");
  for (const path of [there, behind]) assert.throws(() => restore(backup, path), { code: "WEFT-C-STORE-PRESENT" });
  assert.deepEqual([readFileSync(there, "utf8"), existsSync(behind)], ["", false]);
  assert.throws(() => restore(backup, join(directory, "none", "store.db")), { code: "WEFT-C-STORE-UNWRITABLE" });
  const whole = readFileSync(backup);
  const store = await openSqliteStore(join(directory, "source.db"));
  t.after(() => store.close());
  mkdirSync(`${backup}.unfinished`);
  await assert.rejects(store.backup(backup), { code: "WEFT-C-STORE-UNWRITABLE" });
  assert.deepEqual(readFileSync(backup), whole);
});

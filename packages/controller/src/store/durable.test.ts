import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, cpSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type TestContext, test } from "node:test";
import { eventually, temporaryDirectory } from "../testing/controllers.ts";
import { explain } from "./contract/concurrent.ts";
import { killWhileWriting } from "./contract/kill.ts";
import { draft } from "./contract/steps.ts";
import { brokenPromises } from "./contract/watch-rules.ts";
import { Recording } from "./contract/watching.ts";
import { openSqliteStore, type SqliteStore } from "./sqlite.ts";
import type { Write } from "./store.ts";

const module = new URL("./sqlite.ts", import.meta.url).href;
const resource = "things.test.weft.dev";
const create = (name: string, more: object = {}): Write => ({ verb: "create", resource, object: { ...draft("ns1", name), ...more } });
const fresh = (t: TestContext) => join(temporaryDirectory(t), "store.db");

async function opened(t: TestContext, path: string): Promise<SqliteStore> {
  const store = await openSqliteStore(path);
  t.after(() => store.close());
  return store;
}

test("ST31 ST32 killed at any moment, it has all that it acknowledged, nothing by half, and tells watches so", async (t) => {
  const place = fresh(t);
  const before = new Map<string, unknown>();
  for (const [round, answers] of [1, 7, 20, 45, 80, 120].entries()) {
    const name = `round${round}.test.weft.dev`;
    const open: [string, string, string] = [module, "openSqliteStore", place];
    const { start, operations } = killWhileWriting({ open, resource: name, seed: 101 * round, answers, log: `${place}.log` });
    const store = await openSqliteStore(place);
    const recording = new Recording(store, name, { from: start });
    const last = await store.write({ verb: "create", resource: name, object: draft("ns1", "last") });
    await recording.untilNamed("last");
    operations.push({
      writes: [{ verb: "create", resource: name, object: draft("ns1", "last") }],
      begun: 1e9,
      ended: 1e9 + 1,
      answer: { objects: [last] },
    });
    const world = explain(start, recording.changes, operations);
    assert.deepEqual(brokenPromises(recording.changes, recording), []);
    const { items } = await store.list(name);
    assert.deepEqual(new Set(items), new Set(world.objects.values()));
    for (const [earlier, known] of before) assert.deepEqual(new Set((await store.list(earlier)).items), known);
    before.set(name, new Set(items));
    await recording.stop();
    await store.close();
  }
});

test("its files are their user's alone, also where they were not", async (t) => {
  const path = fresh(t);
  await (await openSqliteStore(path)).close();
  chmodSync(path, 0o644);
  const store = await opened(t, path);
  await store.write(create("a"));
  await store.backup(`${path}.backup`);
  for (const each of [path, `${path}-wal`, `${path}.backup`]) assert.equal(statSync(each).mode & 0o777, 0o600, each);
});

test("one store at a time has the file, in this process and in others", async (t) => {
  const path = fresh(t);
  const store = await opened(t, path);
  await assert.rejects(openSqliteStore(path), { code: "WEFT-C-ALREADY-RUNNING" });
  const other = `await (await import(${JSON.stringify(module)})).openSqliteStore(${JSON.stringify(path)})`;
  const { stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", other], { encoding: "utf8" });
  assert.match(stderr, /WEFT-C-ALREADY-RUNNING/);
  await store.write(create("a"));
  await store.close();
  await (await openSqliteStore(path)).close();
});

test("a store whose file was replaced does nothing to its successor's", async (t) => {
  const path = fresh(t);
  const store = await openSqliteStore(path);
  await store.write(create("old"));
  renameSync(dirname(path), `${dirname(path)}.old`);
  mkdirSync(dirname(path));
  const successor = await opened(t, path);
  await successor.write(create("new"));
  await store.close();
  // As it is found after kill -9.
  const copy = `${dirname(path)}.copy`;
  cpSync(dirname(path), copy, { recursive: true });
  t.after(() => [`${dirname(path)}.old`, copy].map((each) => spawnSync("rm", ["-r", each])));
  const found = await opened(t, join(copy, "store.db"));
  assert.deepEqual(
    (await found.list(resource)).items.map(({ metadata }) => metadata.name),
    ["new"],
  );
});

test("files that are damaged, newer or another program's are left as they are", async (t) => {
  const directory = temporaryDirectory(t);
  const foreign = join(directory, "foreign.db");
  const newer = join(directory, "newer.db");
  const text = join(directory, "text.db");
  run(foreign, "CREATE TABLE theirs (a)");
  await (await openSqliteStore(newer)).close();
  run(newer, "PRAGMA user_version = 99");
  writeFileSync(text, "not a database, whatever its name says".repeat(100));
  for (const path of [foreign, newer, text]) {
    const before = readFileSync(path);
    await assert.rejects(openSqliteStore(path), { code: "WEFT-C-STORE-DAMAGED" }, path);
    assert.deepEqual(readFileSync(path), before, path);
  }
  await assert.rejects(openSqliteStore(join(directory, "none", "store.db")), { code: "WEFT-C-STORE-UNWRITABLE" });
});

function run(path: string, sql: string): void {
  const database = new DatabaseSync(path);
  database.exec(sql);
  database.close();
}

const limitFiles = (limit: string) => spawnSync("prlimit", [`--pid=${process.pid}`, `--fsize=${limit}:`], { encoding: "utf8" });

test("when the disk is full writes say so, reads and watches go on, and writing works again when there is room", {
  skip: process.platform !== "linux" && "a limit of files' size stands for a full disk, and only Linux has it for a running process",
}, async (t) => {
  const path = fresh(t);
  const store = await openSqliteStore(path);
  t.after(() => store.close());
  const recording = new Recording(store, resource, { from: "0" });
  const filler = "x".repeat(20_000);
  await store.write(create("first"));
  assert.equal(limitFiles("300000").stderr, "");
  t.after(() => limitFiles("unlimited"));
  let made = 0;
  const fill = async () => {
    for (;;) {
      await store.write(create(`filler${made}`, { filler }));
      made += 1;
    }
  };
  await assert.rejects(fill(), (error: { code: string; message: string }) => {
    assert.equal(error.code, "WEFT-C-STORE-UNWRITABLE");
    assert.match(error.message, /store\.db/);
    return true;
  });
  assert.ok(made > 3 && store.trouble !== undefined, `${made} fitted`);
  assert.equal((await store.list(resource)).items.length, made + 1);
  await recording.untilNamed(`filler${made - 1}`);
  limitFiles("unlimited");
  await eventually(() => store.trouble === undefined);
  await store.write(create("after"));
  await recording.untilNamed("after");
  await recording.stop();
  const before = await store.list(resource);
  await store.close();
  const again = await opened(t, path);
  assert.deepEqual(await again.list(resource), before);
});

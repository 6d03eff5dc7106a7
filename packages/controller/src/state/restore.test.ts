import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { statePaths } from "@weft/api";
import { draft } from "../store/contract/steps.ts";
import { openSqliteStore } from "../store/sqlite.ts";
import { temporaryDirectory } from "../testing/controllers.ts";
import { openRegistry } from "./registry.ts";
import { restoreState } from "./restore.ts";

const resource = "things.test.weft.dev";

async function backedUp(directory: string): Promise<string> {
  const backup = join(directory, "backup");
  const store = await openSqliteStore(join(directory, "source.db"));
  await store.write({ verb: "create", resource, object: draft("ns1", "a") });
  await store.backup(backup);
  await store.close();
  return backup;
}

async function namesIn(path: string): Promise<string[]> {
  const store = await openSqliteStore(path);
  const { items } = await store.list(resource);
  await store.close();
  return items.map(({ metadata }) => metadata.name);
}

test("a backup becomes the resources of a new state directory", async (t) => {
  const directory = temporaryDirectory(t);
  const state = join(directory, "state");
  assert.equal(restoreState(state, await backedUp(directory), { replace: false }), undefined);
  assert.deepEqual(await namesIn(statePaths(state).objects), ["a"]);
});

test("what is there is replaced only when that is said, is whole aside then, and stays when the backup is none", async (t) => {
  const directory = temporaryDirectory(t);
  const backup = await backedUp(directory);
  const state = join(directory, "state");
  const { objects } = statePaths(state);
  restoreState(state, backup, { replace: false });
  const store = await openSqliteStore(objects);
  await store.write({ verb: "create", resource, object: draft("ns1", "b") });
  await store.close();
  const before = readFileSync(objects);
  const files = readdirSync(state);
  assert.throws(() => restoreState(state, backup, { replace: false }), { code: "WEFT-C-STORE-PRESENT" });
  const damaged = join(directory, "damaged");
  writeFileSync(damaged, readFileSync(backup).subarray(0, 5000));
  assert.throws(() => restoreState(state, damaged, { replace: true }), { code: "WEFT-C-STORE-DAMAGED" });
  assert.deepEqual([readFileSync(objects), readdirSync(state)], [before, files]);

  const aside = restoreState(state, backup, { replace: true });
  assert.deepEqual(await namesIn(objects), ["a"]);
  assert.deepEqual((await namesIn(aside ?? "")).toSorted(), ["a", "b"]);
});

test("nothing is touched while a controller has the state directory", async (t) => {
  const directory = temporaryDirectory(t);
  const backup = await backedUp(directory);
  const state = join(directory, "state");
  restoreState(state, backup, { replace: false });
  const registry = openRegistry(statePaths(state));
  t.after(() => registry.close());
  assert.throws(() => restoreState(state, backup, { replace: true }), { code: "WEFT-C-ALREADY-RUNNING" });
  assert.ok(existsSync(statePaths(state).objects));
});

import assert from "node:assert/strict";
import { chmodSync, lchownSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { statePaths } from "./state.ts";
import { checkOwner, prepareStateDirectory } from "./state-directory.ts";

function temporary(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), "weft-test-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

const mode = (path: string) => statSync(path).mode & 0o777;
const isRoot = process.getuid?.() === 0;
const prepare = (directory: string) => prepareStateDirectory(statePaths(directory));

test("it is made with all that leads to it, for its user only", (t) => {
  const directory = join(temporary(t), "a", "b", "state");
  prepare(directory);
  assert.deepEqual([mode(directory), mode(join(directory, "logs"))], [0o700, 0o700]);
});

test("another user's is refused before anything in it is made or changed", { skip: !isRoot && "it needs root" }, (t) => {
  const directory = join(temporary(t), "state");
  mkdirSync(directory, { mode: 0o777 });
  chmodSync(directory, 0o777);
  lchownSync(directory, 12_345, 12_345);
  for (const refuse of [prepare, checkOwner]) assert.throws(() => refuse(directory), { code: "WEFT-C-STATE-NOT-OURS" });
  assert.deepEqual([readdirSync(directory), mode(directory)], [[], 0o777]);
});

test("the user's own link is followed; another user's is not, wherever it leads", (t) => {
  const folder = temporary(t);
  const [target, link] = [join(folder, "disk"), join(folder, "state")];
  mkdirSync(target);
  chmodSync(target, 0o755);
  symlinkSync(target, link);
  prepare(link);
  assert.equal(mode(target), 0o700);
  if (!isRoot) return;
  rmSync(join(target, "logs"), { recursive: true });
  chmodSync(target, 0o755);
  lchownSync(link, 12_345, 12_345);
  assert.throws(() => prepare(link), { code: "WEFT-C-STATE-NOT-OURS" });
  assert.deepEqual([readdirSync(target), mode(target)], [[], 0o755]);
});

test("what leads elsewhere from within is refused with its path, and nothing there is touched", (t) => {
  const folder = temporary(t);
  const elsewhere = join(folder, "elsewhere");
  mkdirSync(elsewhere);
  writeFileSync(join(elsewhere, "file"), "kept");
  chmodSync(elsewhere, 0o755);
  chmodSync(join(elsewhere, "file"), 0o644);
  for (const name of [
    "logs",
    "ca",
    "ca.new",
    "logs/controller.log",
    "logs/w-1.log",
    "ca/root.key",
    "registry.db",
    "registry.db-wal",
    "objects.db",
    "access.json",
    "controller.lock",
  ]) {
    const directory = join(folder, "state");
    mkdirSync(join(directory, name, ".."), { recursive: true });
    symlinkSync(["logs", "ca", "ca.new"].includes(name) ? elsewhere : join(elsewhere, "file"), join(directory, name));
    assert.throws(() => prepare(directory), { code: "WEFT-C-STATE-UNSAFE", message: new RegExp(`/${name}, .*symbolic link`) }, name);
    rmSync(directory, { recursive: true });
  }
  assert.deepEqual([mode(elsewhere), mode(join(elsewhere, "file")), readdirSync(elsewhere)], [0o755, 0o644, ["file"]]);
});

test("what another user put into it while it was open to all, or what is of another kind, is refused", (t) => {
  const folder = temporary(t);
  const directory = join(folder, "state");
  mkdirSync(join(directory, "registry.db"), { recursive: true });
  assert.throws(() => prepare(directory), { code: "WEFT-C-STATE-UNSAFE", message: /registry\.db, .*is no file/ });
  rmSync(join(directory, "registry.db"), { recursive: true });
  if (!isRoot) return;
  for (const name of ["registry.db", "logs", "ca"]) {
    if (name === "registry.db") writeFileSync(join(directory, name), "");
    else mkdirSync(join(directory, name), { recursive: true });
    lchownSync(join(directory, name), 12_345, 12_345);
    assert.throws(() => prepare(directory), { code: "WEFT-C-STATE-UNSAFE", message: /belongs to user 12345/ }, name);
    rmSync(join(directory, name), { recursive: true });
  }
  prepare(directory);
});

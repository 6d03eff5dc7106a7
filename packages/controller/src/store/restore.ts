import { copyFileSync, existsSync, linkSync, rmSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { weftError } from "@weft/api";
import { checkSchema, makePrivate, sync } from "./journal.ts";

/** So far ahead of the backup go the revisions of a restored store that no revision which was given out since is given out again. */
const revisionLeap = 1_000_000_000;

/**
 * Makes a store of a backup, at a path where there is none. Watches that went on from revisions of the old store expire on it. Throws `WEFT-C-STORE-DAMAGED` when the
 * backup is none or cannot be read whole, `WEFT-C-STORE-PRESENT` when there is a store already, and `WEFT-C-STORE-UNWRITABLE` when it cannot be made.
 */
export function restore(backup: string, path: string): void {
  const present = [path, `${path}-wal`].find((each) => existsSync(each));
  if (present !== undefined) throw weftError("WEFT-C-STORE-PRESENT", `${backup} was not restored: ${present} is there already.`);
  const unfinished = `${path}.unfinished`;
  try {
    copyPrivately(backup, unfinished);
    leap(backup, unfinished);
    sync(unfinished);
    linkSync(unfinished, path);
    sync(dirname(path));
  } finally {
    rmSync(unfinished, { force: true });
  }
}

function copyPrivately(from: string, to: string): void {
  if (existsSync(`${from}-wal`) || !statSync(from, { throwIfNoEntry: false })?.isFile())
    throw damaged(from, new Error("it is no backup, but a store in use, or no file"));
  rmSync(to, { force: true });
  makePrivate(to);
  copyFileSync(from, to);
}

/** Checks a copy of a backup through and through, and makes its revisions leap. */
function leap(backup: string, copy: string): void {
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(copy);
    if (checkSchema(database).isEmpty) throw new Error("it is empty");
    const { integrity_check: integrity } = database.prepare("PRAGMA integrity_check").get() ?? {};
    if (integrity !== "ok") throw new Error(String(integrity));
    for (const { body } of database.prepare("SELECT body FROM change").iterate()) JSON.parse(body as string);
    database.exec(`UPDATE meta SET floor = max(floor, (SELECT coalesce(max(revision), 0) FROM change)) + ${revisionLeap}`);
  } catch (error) {
    throw damaged(backup, error as Error);
  } finally {
    database?.close();
  }
}

function damaged(backup: string, cause: Error): Error {
  return weftError("WEFT-C-STORE-DAMAGED", `${backup} cannot be restored: ${cause.message}.`, { cause });
}

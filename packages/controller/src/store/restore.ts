import { copyFileSync, existsSync, linkSync, rmSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { WeftError, weftError } from "@weft/api";
import { checkSchema, digestOf, makePrivate, sync } from "./journal.ts";

/** So far ahead of the backup go the revisions of a restored store that no revision which was given out since is given out again. */
const revisionLeap = 1_000_000_000;

/**
 * Makes a store of a backup, at a path where there is none. Watches that went on from revisions of the old store expire on it. Throws `WEFT-C-STORE-DAMAGED` when the
 * backup is none or cannot be read whole, `WEFT-C-STORE-PRESENT` when there is a store already, and `WEFT-C-STORE-UNWRITABLE` when it cannot be made.
 */
export function restore(backup: string, path: string): void {
  const present = [path, `${path}-wal`].find((each) => existsSync(each));
  if (present !== undefined) throw weftError("WEFT-C-STORE-PRESENT", `${backup} was not restored: ${present} is there already.`);
  if (!statSync(backup, { throwIfNoEntry: false })?.isFile()) throw damaged(backup, new Error("there is no such file"));
  const unfinished = `${path}.unfinished`;
  try {
    rmSync(unfinished, { force: true });
    makePrivate(unfinished);
    copyFileSync(backup, unfinished);
    leap(backup, unfinished);
    sync(unfinished);
    linkSync(unfinished, path);
    sync(dirname(path));
  } catch (error) {
    if (error instanceof WeftError) throw error;
    throw weftError("WEFT-C-STORE-UNWRITABLE", `${backup} was not restored to ${path}: ${(error as Error).message}.`, { cause: error });
  } finally {
    rmSync(unfinished, { force: true });
  }
}

/** Checks a copy of a backup through and through, and makes its revisions leap. */
function leap(backup: string, copy: string): void {
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(copy);
    if (checkSchema(database).isEmpty) throw new Error("it is empty");
    const { digest } = database.prepare("SELECT digest FROM meta").get() ?? {};
    if (digest !== digestOf(database)) throw new Error("it is not as it was written, or was never a backup");
    database.exec(`UPDATE meta SET digest = NULL, floor = max(floor, (SELECT coalesce(max(revision), 0) FROM change)) + ${revisionLeap}`);
  } catch (error) {
    throw damaged(backup, error as Error);
  } finally {
    database?.close();
  }
}

function damaged(backup: string, cause: Error): Error {
  return weftError("WEFT-C-STORE-DAMAGED", `${backup} cannot be restored: ${cause.message}.`, { cause });
}

import { createHash } from "node:crypto";
import { chmodSync, closeSync, fsyncSync, openSync, renameSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync, type StatementSync } from "node:sqlite";

/** What tells a file of this store from other databases (`PRAGMA application_id`): "Weft". */
export const applicationId = 0x57656674;
export const schemaVersion = 1;

// SQLite's result codes (https://sqlite.org/rescode.html).
const busy = 5;
const corrupt = 11;
const notADatabase = 26;

/** One row of the database: an entry, with its object as JSON. */
export interface Row {
  sequence: number;
  revision: number;
  resource: string;
  namespace: string;
  name: string;
  /** 0 or 1. */
  deleted: number;
  /** Milliseconds since 1970. */
  at: number;
  body: string;
}

/** What is made durable at once. */
export interface RowBatch {
  rows: Row[];
  /** Sequence numbers of rows that go. */
  drops: readonly number[];
  floor: number;
}

/** Why something cannot be done: what the database said, and what that means. */
export interface Failure {
  kind: "taken" | "damaged" | "unwritable";
  message: string;
}

/**
 * The file of a SQLite store: a log of changes, of which those stay that are the last of an object or that a watch may still ask for. What `commit` has done
 * survives kill -9 and loss of power. It is opened exclusively, by a lock that the kernel drops with the process.
 */
export class JournalFile {
  readonly #database: DatabaseSync;
  readonly #insert: StatementSync;
  readonly #drop: StatementSync;
  readonly #setFloor: StatementSync;

  constructor(path: string) {
    makePrivate(path);
    this.#database = new DatabaseSync(path);
    try {
      // Nothing is written, not even the mode, before it is known whose file it is.
      this.#database.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF");
      this.#transaction(() => migrate(this.#database));
      this.#database.exec("PRAGMA journal_mode = WAL; PRAGMA journal_size_limit = 16777216");
      this.#insert = this.#database.prepare(
        "INSERT INTO change VALUES (:sequence, :revision, :resource, :namespace, :name, :deleted, :at, :body)",
      );
      this.#drop = this.#database.prepare("DELETE FROM change WHERE sequence = ?");
      this.#setFloor = this.#database.prepare("UPDATE meta SET floor = ?");
    } catch (error) {
      this.#database.close();
      throw error;
    }
  }

  load(): { rows: Row[]; floor: number } {
    const rows = this.#database.prepare("SELECT * FROM change ORDER BY sequence").all() as unknown as Row[];
    return { rows, floor: Number(this.#database.prepare("SELECT floor FROM meta").get()?.floor) };
  }

  commit({ rows, drops, floor }: RowBatch): void {
    this.#transaction(() => {
      for (const row of rows) this.#insert.run({ ...row });
      for (const sequence of drops) this.#drop.run(sequence);
      this.#setFloor.run(floor);
    });
  }

  /** Writes a copy of everything to a file, in place of what is there, with a digest by which it is known to be whole. */
  backup(path: string): void {
    const unfinished = `${path}.unfinished`;
    rmSync(unfinished, { force: true });
    try {
      makePrivate(unfinished);
      this.#database.prepare("VACUUM INTO ?").run(unfinished);
      const copy = new DatabaseSync(unfinished);
      try {
        copy.prepare("UPDATE meta SET digest = ?").run(digestOf(copy));
      } finally {
        copy.close();
      }
      sync(unfinished);
      renameSync(unfinished, path);
      sync(dirname(path));
    } finally {
      rmSync(unfinished, { force: true });
    }
  }

  close(): void {
    this.#database.close();
  }

  #transaction(change: () => void): void {
    this.#database.exec("BEGIN EXCLUSIVE");
    try {
      change();
      this.#database.exec("COMMIT");
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
      throw error;
    }
  }
}

/** What an error of the database, or of the file system, means. */
export function failureOf(error: unknown): Failure {
  const { errcode = 0, message } = error as Error & { errcode?: number };
  const code = errcode & 0xff;
  const isDamage = error instanceof WrongSchema || code === corrupt || code === notADatabase;
  return { kind: code === busy ? "taken" : isDamage ? "damaged" : "unwritable", message };
}

export class WrongSchema extends Error {}

/** Throws when the database is not one of this store that this version can read; answers whether it is still empty. */
export function checkSchema(database: DatabaseSync): { isEmpty: boolean } {
  const number = (sql: string) => Number(Object.values(database.prepare(sql).get() ?? {})[0]);
  const [id, version] = [number("PRAGMA application_id"), number("PRAGMA user_version")];
  if (id === 0 && version === 0 && number("SELECT count(*) FROM sqlite_schema") === 0) return { isEmpty: true };
  if (id !== applicationId) throw new WrongSchema("it is another program's database");
  if (version > schemaVersion)
    throw new WrongSchema(`it was written by a newer version (schema ${version}, this one knows ${schemaVersion})`);
  return { isEmpty: false };
}

/** SHA-256 of all that a database holds. */
export function digestOf(database: DatabaseSync): string {
  const hash = createHash("sha256");
  for (const row of database.prepare("SELECT * FROM change ORDER BY sequence").iterate()) hash.update(JSON.stringify(row));
  return hash.update(JSON.stringify(database.prepare("SELECT floor FROM meta").get())).digest("hex");
}

function migrate(database: DatabaseSync): void {
  if (!checkSchema(database).isEmpty) return;
  database.exec(`
    CREATE TABLE change (
      sequence INTEGER PRIMARY KEY, revision INTEGER NOT NULL, resource TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
      deleted INTEGER NOT NULL, at INTEGER NOT NULL, body TEXT NOT NULL
    ) STRICT;
    CREATE TABLE meta (floor INTEGER NOT NULL, digest TEXT) STRICT;
    INSERT INTO meta VALUES (0, NULL);
    PRAGMA application_id = ${applicationId};
    PRAGMA user_version = ${schemaVersion}`);
}

/** Makes the file if there is none, and lets only its user read it. It is not opened where it exists: closing it would drop the locks that this process has on it. */
export function makePrivate(path: string): void {
  try {
    closeSync(openSync(path, "wx", 0o600));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
  chmodSync(path, 0o600);
}

/** Brings a file, or the names in a directory, to the disk. */
export function sync(path: string): void {
  const descriptor = openSync(path, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

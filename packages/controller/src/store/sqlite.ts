import { Worker } from "node:worker_threads";
import { weftError } from "@weft/api";
import { freeze } from "./change.ts";
import type { Entry } from "./history.ts";
import type { Failure, Row } from "./journal.ts";
import type { Question, Reply } from "./journal-worker.ts";
import { type Batch, type Journal, type LocalOptions, LocalStore } from "./local.ts";
import type { Store } from "./store.ts";

/** A store whose file can be copied while it is used. */
export interface SqliteStore extends Store {
  /** Writes a consistent copy of everything that was acknowledged to a file, in place of what is there. */
  backup(path: string): Promise<void>;
}

/**
 * Opens or creates a store in a file, which this process alone then has. Throws `WEFT-C-ALREADY-RUNNING` when another store has it,
 * `WEFT-C-STORE-DAMAGED` when it cannot be read, and `WEFT-C-STORE-UNWRITABLE` when it cannot be made.
 */
export async function openSqliteStore(path: string, options: LocalOptions = {}): Promise<SqliteStore> {
  const journal = new SqliteJournal(path);
  try {
    const store = new LocalStore(journal, await journal.open(), options);
    return Object.assign(store, { backup: (to: string) => journal.backup(to) });
  } catch (error) {
    await journal.end();
    throw error;
  }
}

interface Asked {
  failed: string;
  resolve(reply: Reply): void;
  reject(error: Error): void;
}

/** The journal's end in the controller's thread. */
class SqliteJournal implements Journal {
  readonly #path: string;
  readonly #worker: Worker;
  readonly #asked = new Map<number, Asked>();
  #ended: string | undefined;
  #id = 0;

  constructor(path: string) {
    this.#path = path;
    this.#worker = new Worker(new URL("./journal-worker.ts", import.meta.url), { workerData: path, name: "weft-store", execArgv: [] });
    this.#worker.unref();
    this.#worker.on("message", (reply: Reply) => this.#answered(reply));
    this.#worker.on("error", (error) => this.#end(`the thread that writes has failed: ${(error as Error).message}`));
    this.#worker.on("exit", () => this.#end("the thread that writes has ended"));
  }

  async open(): Promise<{ entries: Entry[]; floor: number }> {
    const { content } = await this.#ask({ ask: "open" }, `${this.#path} cannot be opened`);
    const { rows = [], floor = 0 } = content ?? {};
    try {
      return { entries: rows.map(entryOf), floor };
    } catch (cause) {
      throw this.#errorOf({ kind: "damaged", message: (cause as Error).message }, "");
    }
  }

  async commit({ entries, drops, floor }: Batch): Promise<void> {
    await this.#ask({ ask: "commit", batch: { rows: entries.map(rowOf), drops, floor } }, `A change was not written to ${this.#path}`);
  }

  async backup(path: string): Promise<void> {
    await this.#ask({ ask: "backup", path }, `A backup was not written to ${path}`);
  }

  async close(): Promise<void> {
    if (this.#ended === undefined) await this.#ask({ ask: "close" }, `${this.#path} was not closed`);
    await this.end();
  }

  async end(): Promise<void> {
    await this.#worker.terminate();
  }

  /** `failed` begins the message if it cannot be done. */
  #ask(request: Question, failed: string): Promise<Reply> {
    if (this.#ended !== undefined) throw this.#errorOf({ kind: "unwritable", message: this.#ended }, failed);
    this.#id += 1;
    const id = this.#id;
    // The process does not end while somebody waits for an answer, and ends when nobody does.
    this.#worker.ref();
    this.#worker.postMessage({ ...request, id });
    return new Promise((resolve, reject) => this.#asked.set(id, { failed, resolve, reject }));
  }

  #answered(reply: Reply): void {
    const asked = this.#asked.get(reply.id);
    this.#asked.delete(reply.id);
    if (this.#asked.size === 0) this.#worker.unref();
    if (reply.failure === undefined) asked?.resolve(reply);
    else asked?.reject(this.#errorOf(reply.failure, asked.failed));
  }

  #end(reason: string): void {
    this.#ended ??= reason;
    const error = weftError("WEFT-C-STORE-UNSURE", `Nobody knows whether a change was written to ${this.#path}: ${this.#ended}.`);
    for (const { reject } of this.#asked.values()) reject(error);
    this.#asked.clear();
  }

  #errorOf({ kind, message }: Failure, failed: string): Error {
    if (kind === "taken") return weftError("WEFT-C-ALREADY-RUNNING", `Another controller has ${this.#path} open.`);
    if (kind === "damaged") return weftError("WEFT-C-STORE-DAMAGED", `${this.#path} cannot be read: ${message}.`);
    return weftError("WEFT-C-STORE-UNWRITABLE", `${failed}: ${message}.`);
  }
}

function rowOf({ sequence, revision, resource, namespace, name, deleted, at, object }: Entry): Row {
  return { sequence, revision, resource, namespace, name, deleted: Number(deleted), at, body: JSON.stringify(object) };
}

function entryOf({ body, deleted, ...row }: Row): Entry {
  return { ...row, deleted: deleted === 1, size: body.length, object: freeze(JSON.parse(body)) };
}

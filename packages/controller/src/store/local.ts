import { randomUUID } from "node:crypto";
import { WeftError, weftError } from "@weft/api";
import { apply, type CopiedWrite, copyWrite, freeze } from "./change.ts";
import { defaultBounds, type Entry, History, type HistoryBounds } from "./history.ts";
import { Leases } from "./leases.ts";
import {
  type Key,
  keyOf,
  type Lease,
  type Listed,
  type Store,
  type StoredObject,
  type Trouble,
  type WatchEvent,
  type WatchOptions,
  type Write,
} from "./store.ts";

/** Writes of a transaction. */
const maxTransaction = 500;
/** What a write costs beside its characters. */
const overhead = 1_000;
/** Cost of the writes that are made durable together: preparing them must not hold up the event loop for long. */
const maxBatch = 1 << 20;
/** Cost of the writes that may wait. */
const maxWaiting = 64 << 20;
/** Between attempts to write while nothing can be written, in milliseconds. */
const retryMs = 1_000;

/** What makes changes durable. */
export interface Journal {
  /** Makes all of it durable, or throws, and then nothing of it has happened. One call at a time. */
  commit(batch: Batch): Promise<void>;
  close(): Promise<void>;
}

/** What is made durable at once. */
export interface Batch {
  entries: readonly Entry[];
  /** Sequence numbers of entries that are not needed any more: they are superseded, or deletions, and no watch begins before them. */
  drops: readonly number[];
  /** What happened up to this revision is not known. */
  floor: number;
}

/** What a journal holds when it is opened. */
export interface Content {
  /** In the order in which they were made. */
  entries: Iterable<Entry>;
  floor: number;
}

export interface LocalOptions {
  history?: Partial<HistoryBounds>;
  /** How long a write may take, in milliseconds; 10 s unless told. */
  patienceMs?: number;
  /** Monotonic clock in milliseconds, for leases. */
  now?: () => number;
}

interface Waiting {
  writes: readonly CopiedWrite[];
  cost: number;
  resolve(objects: StoredObject[]): void;
  reject(error: unknown): void;
}

/**
 * A store of one process: all objects are in memory, and writes go to a journal first. What is asked for in one turn of the event loop, or while the
 * journal is busy, is written together, and nobody sees a change, or hears of it, before it is durable.
 */
export class LocalStore implements Store {
  readonly maxTransaction = maxTransaction;
  readonly #journal: Journal | undefined;
  readonly #patienceMs: number;
  readonly #leases: Leases;
  readonly #history: History;
  readonly #tables = new Map<string, Map<string, Entry>>();
  readonly #sleepers = new Set<() => void>();
  #waiting: Waiting[] = [];
  #waitingCost = 0;
  #drops: number[] = [];
  #revision: number;
  #sequence = 0;
  #flushing: Promise<void> | undefined;
  #trouble: Trouble | undefined;
  #retry: NodeJS.Timeout | undefined;
  #isStuck = false;
  #isClosed = false;

  constructor(
    journal: Journal | undefined,
    content: Content,
    { history, patienceMs = 10_000, now = () => performance.now() }: LocalOptions = {},
  ) {
    this.#journal = journal;
    this.#patienceMs = patienceMs;
    this.#leases = new Leases(now);
    this.#history = new History({ ...defaultBounds, ...history }, content.floor);
    this.#revision = content.floor;
    this.#publish(content.entries);
  }

  async get(key: Key): Promise<StoredObject | undefined> {
    return this.#find(key)?.object;
  }

  async list(resource: string, namespace?: string): Promise<Listed> {
    const entries = [...(this.#tables.get(resource)?.values() ?? [])];
    const wanted = namespace === undefined ? entries : entries.filter((entry) => entry.namespace === namespace);
    return { items: wanted.map(({ object }) => object), revision: String(this.#revision) };
  }

  async *watch(resource: string, { from, namespace, signal }: WatchOptions): AsyncGenerator<WatchEvent, void, undefined> {
    const matches = (entry: Entry) => entry.resource === resource && (namespace === undefined || entry.namespace === namespace);
    let told = Number(from);
    let read = told;
    while (!signal.aborted && !this.#isClosed) {
      // A revision that is still to come is another store's, which this one was before it was restored.
      if (!(read >= this.#history.floor && read <= this.#revision)) return yield { type: "expired" };
      const found = this.#history.after(read, matches);
      read = found[0]?.revision ?? this.#revision;
      if (found.length > 0) {
        told = read;
        const changes = found.map(({ deleted, object }) => ({ type: deleted ? ("delete" as const) : ("put" as const), object }));
        yield { type: "changes", revision: String(told), changes };
      } else if (read > told && this.#history.isOld(told)) {
        told = read;
        yield { type: "bookmark", revision: String(told) };
      } else {
        await this.#nextChange(signal);
      }
    }
  }

  async write(write: Write): Promise<StoredObject> {
    const [object] = await this.#enqueue([copyWrite(write)]);
    return object as StoredObject;
  }

  async transaction(writes: readonly Write[]): Promise<StoredObject[]> {
    const copies = writes.map(copyWrite);
    if (copies.length > maxTransaction)
      throw weftError("WEFT-C-OBJECT-UNFIT", `A transaction has ${copies.length} changes, over ${maxTransaction}.`);
    if (new Set(copies.map(({ write }) => pathOf(keyOf(write)))).size < copies.length)
      throw weftError("WEFT-C-OBJECT-UNFIT", "A transaction has two changes of the same object.");
    return this.#enqueue(copies);
  }

  async acquire(lease: string, ttlMs: number): Promise<Lease | undefined> {
    return this.#leases.acquire(lease, ttlMs);
  }

  get trouble(): Trouble | undefined {
    return this.#trouble;
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearTimeout(this.#retry);
    this.#wake();
    await this.#flushing;
    await this.#journal?.close();
  }

  #enqueue(writes: readonly CopiedWrite[]): Promise<StoredObject[]> {
    if (this.#isClosed) throw unwritable("the store is closed");
    if (this.#isStuck) throw unwritable(this.#trouble?.message ?? "");
    const cost = writes.reduce((sum, { size }) => sum + size + overhead, 0);
    if (this.#waitingCost + cost > maxWaiting)
      throw weftError("WEFT-C-STORE-BUSY", `${this.#waiting.length} changes wait to be written, and there is no room for more.`);
    this.#waitingCost += cost;
    return new Promise((resolve, reject) => {
      this.#waiting.push({ writes, cost, resolve, reject });
      this.#flushing ??= this.#flush();
    });
  }

  /** Writes what waits until nothing does. Begins when the present turn of the event loop is over. */
  async #flush(): Promise<void> {
    do {
      await new Promise((resolve) => setImmediate(resolve));
      await this.#commit(this.#takeBatch());
    } while (this.#waiting.length > 0);
    this.#flushing = undefined;
  }

  #takeBatch(): Waiting[] {
    let [count, sum] = [0, 0];
    for (const { cost } of this.#waiting) {
      if (count > 0 && sum + cost > maxBatch) break;
      count += 1;
      sum += cost;
    }
    this.#waitingCost -= sum;
    return this.#waiting.splice(0, count);
  }

  async #commit(batch: Waiting[]): Promise<void> {
    const { entries, answers } = this.#stage(batch);
    try {
      if (entries.length > 0) await this.#persist(entries, batch);
    } catch (cause) {
      for (const { reject } of batch) reject(cause);
      return;
    }
    this.#publish(entries);
    this.#wake();
    for (const answer of answers) answer();
  }

  /** What a batch comes to, each write after those before it, and how to answer once it is durable. */
  #stage(batch: Waiting[]): { entries: Entry[]; answers: (() => void)[] } {
    const entries: Entry[] = [];
    const staged = new Map<string, Entry>();
    let [revision, sequence] = [this.#revision, this.#sequence];
    const answers = batch.map(({ writes, resolve, reject }) => {
      try {
        const made = writes.map((write, index) => this.#make(write, staged, { revision: revision + 1, sequence: sequence + index + 1 }));
        const changed = made.filter((entry) => entry.revision > revision);
        if (changed.length > 0) revision += 1;
        sequence += writes.length;
        for (const entry of changed) staged.set(pathOf(entry), entry);
        entries.push(...changed);
        return () => resolve(made.map(({ object }) => object));
      } catch (error) {
        return () => reject(error);
      }
    });
    return { entries, answers };
  }

  /** The entry of a write; the object's last one when it changes nothing. */
  #make({ write, size }: CopiedWrite, staged: Map<string, Entry>, number: { revision: number; sequence: number }): Entry {
    const { resource, namespace, name } = keyOf(write);
    const before = staged.get(pathOf({ resource, namespace, name })) ?? this.#find({ resource, namespace, name });
    const current = before?.deleted ? undefined : before?.object;
    const at = Date.now();
    const now = `${new Date(at).toISOString().slice(0, 19)}Z`;
    const object = freeze(apply(current, write, { revision: String(number.revision), now, uid: randomUUID }));
    if (before !== undefined && object === current) return before;
    return { ...number, resource, namespace, name, deleted: write.verb === "delete", object, size, at };
  }

  async #persist(entries: readonly Entry[], batch: readonly Waiting[]): Promise<void> {
    const patience = setTimeout(() => this.#losePatience(batch), this.#patienceMs);
    try {
      await this.#journal?.commit({ entries, drops: this.#drops, floor: this.#history.floor });
      this.#drops = [];
      this.#trouble = undefined;
      clearTimeout(this.#retry);
    } catch (cause) {
      const error = cause instanceof WeftError ? cause : unwritable((cause as Error).message, cause);
      this.#suffer(error.message);
      throw error;
    } finally {
      clearTimeout(patience);
      this.#isStuck = false;
    }
  }

  /** The journal does not answer: nobody is kept waiting for it, while it may still do what it was told. */
  #losePatience(batch: readonly Waiting[]): void {
    const message = `the disk has not answered for ${this.#patienceMs} ms`;
    this.#isStuck = true;
    this.#suffer(message);
    for (const { reject } of batch) reject(weftError("WEFT-C-STORE-UNSURE", `Nobody knows whether a change was written: ${message}.`));
    for (const { reject } of this.#waiting) reject(unwritable(message));
    this.#waiting = [];
    this.#waitingCost = 0;
  }

  #suffer(message: string): void {
    this.#trouble = { message, since: this.#trouble?.since ?? Date.now() };
    clearTimeout(this.#retry);
    if (this.#isClosed) return;
    // Nobody may want to write, and the trouble would seem to last.
    this.#retry = setTimeout(() => {
      this.#flushing ??= this.#persist([], []).then(
        () => this.#flush(),
        () => this.#flush(),
      );
    }, retryMs).unref();
  }

  /** Puts changes in place. */
  #publish(entries: Iterable<Entry>): void {
    for (const entry of entries) {
      const table = this.#tables.get(entry.resource) ?? new Map<string, Entry>();
      this.#tables.set(entry.resource, table);
      const path = pathOf(entry);
      const before = table.get(path);
      if (before !== undefined && before.revision <= this.#history.floor) this.#drops.push(before.sequence);
      if (entry.deleted) table.delete(path);
      else table.set(path, entry);
      if (entry.revision > this.#history.floor) this.#history.add(entry);
      else if (entry.deleted) this.#drops.push(entry.sequence);
      this.#revision = Math.max(this.#revision, entry.revision);
      this.#sequence = entry.sequence;
    }
    for (const entry of this.#history.compact(Date.now())) if (this.#find(entry) !== entry) this.#drops.push(entry.sequence);
  }

  #find(key: Key): Entry | undefined {
    return this.#tables.get(key.resource)?.get(pathOf(key));
  }

  #nextChange(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        signal.removeEventListener("abort", wake);
        this.#sleepers.delete(wake);
        resolve();
      };
      signal.addEventListener("abort", wake);
      this.#sleepers.add(wake);
    });
  }

  #wake(): void {
    for (const wake of this.#sleepers) wake();
  }
}

function pathOf({ resource, namespace, name }: Key): string {
  return `${resource}/${namespace}/${name}`;
}

function unwritable(reason: string, cause?: unknown): WeftError {
  return weftError("WEFT-C-STORE-UNWRITABLE", `A change was not written: ${reason}.`, { cause });
}

import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import { WeftError, weftError } from "@weft/api";
import type { EndpointRecord, ServiceRecord, TombstoneRecord, WorkloadRecord } from "../model/records.ts";

const schemaVersion = 2;

// SQLite's result codes (https://sqlite.org/rescode.html).
const busy = 5;
const corrupt = 11;
const notADatabase = 26;

/** Where the search for a free address of a kind goes on. */
export type Cursor = "virtual" | "workload";

/** Everything that the registry holds. */
export interface RegistryContent {
  services: ServiceRecord[];
  workloads: WorkloadRecord[];
  endpoints: EndpointRecord[];
  tombstones: TombstoneRecord[];
  cursors: Record<Cursor, number>;
  /** Number of this start of a controller on the registry: 1, 2, 3... */
  generation: number;
}

/**
 * The durable registry: what a method has done survives kill -9 and loss of power. It is opened exclusively, by a lock that the kernel
 * drops with the process, which makes it the lock of the state directory too. Methods throw WEFT-C-REGISTRY-UNWRITABLE when a change cannot be made.
 */
export class Registry {
  readonly #database: DatabaseSync;
  readonly #path: string;
  #trouble: Trouble | undefined;
  #abandoned = false;

  /** Opens or creates it. Throws WEFT-C-ALREADY-RUNNING when another process has it open, WEFT-C-REGISTRY-DAMAGED when it cannot be read. */
  constructor(path: string) {
    this.#path = path;
    let database: DatabaseSync | undefined;
    try {
      database = new DatabaseSync(path);
      database.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF;");
      database.exec("BEGIN EXCLUSIVE");
      migrate(database);
      database.exec("COMMIT");
    } catch (error) {
      database?.close();
      throw this.#openError(error);
    }
    this.#database = database;
  }

  /** Reads everything, and counts the start. Throws WEFT-C-REGISTRY-DAMAGED when something of it cannot be read. */
  load(): RegistryContent {
    try {
      return this.#read();
    } catch (error) {
      // Damage within the file shows only now; a record that is no JSON is damage, too.
      throw error instanceof WeftError && !isDamage(error.cause) ? error : damaged(this.#path, error);
    }
  }

  #read(): RegistryContent {
    const generation = this.#meta("generation") + 1;
    this.#write(() => this.#setMeta("generation", generation));
    const bodies = <T>(table: string) =>
      this.#database
        .prepare(`SELECT body FROM ${table}`)
        .all()
        .map(({ body }) => JSON.parse(body as string) as T);
    return {
      services: bodies("service"),
      workloads: bodies("workload"),
      endpoints: bodies("endpoint"),
      tombstones: bodies("tombstone"),
      cursors: { virtual: this.#meta("cursor-virtual"), workload: this.#meta("cursor-workload") },
      generation,
    };
  }

  /** Makes all changes of `change` durable, or none. */
  transaction(change: (writer: RegistryWriter) => void): void {
    this.#write(() =>
      change({
        putService: (record) => this.#put("service", `${record.name}.${record.namespace}`, record),
        deleteService: ({ name, namespace }) => this.#delete("service", `${name}.${namespace}`),
        putWorkload: (record) => this.#put("workload", record.id, record),
        deleteWorkload: (id) => this.#delete("workload", id),
        putEndpoint: (record) => this.#put("endpoint", record.id, record),
        deleteEndpoint: (id) => this.#delete("endpoint", id),
        putTombstone: (record) => this.#put("tombstone", record.id, record),
        deleteTombstone: (id) => this.#delete("tombstone", id),
        setCursor: (kind, value) => this.#setMeta(`cursor-${kind}`, value),
      }),
    );
  }

  /** Why the last change could not be written, and since when none can; undefined when it could. */
  get trouble(): Trouble | undefined {
    return this.#trouble;
  }

  /** Finds out whether a change can be written now, by writing one. Afterwards `trouble` says it. */
  probe(): void {
    try {
      this.#write(() => this.#setMeta("probe", this.#meta("probe") + 1));
    } catch {
      // That is what was to be found out.
    }
  }

  close(): void {
    if (!this.#abandoned) this.#database.close();
  }

  /** Its file is not at its path any more. SQLite would delete what belongs to the file there now, so it is left to the end of the process. */
  abandon(): void {
    this.#abandoned = true;
  }

  /** Whether it was left to the end of the process. */
  get isAbandoned(): boolean {
    return this.#abandoned;
  }

  #put(table: string, key: string, record: unknown): void {
    this.#run(
      `INSERT INTO ${table} (key, body) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET body = excluded.body`,
      key,
      JSON.stringify(record),
    );
  }

  #delete(table: string, key: string): void {
    this.#run(`DELETE FROM ${table} WHERE key = ?`, key);
  }

  #meta(key: string): number {
    return Number(this.#database.prepare("SELECT value FROM meta WHERE key = ?").get(key)?.value ?? 0);
  }

  #setMeta(key: string, value: number): void {
    this.#run("INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", key, value);
  }

  #run(sql: string, ...values: SQLInputValue[]): void {
    this.#database.prepare(sql).run(...values);
  }

  #write(change: () => void): void {
    try {
      this.#database.exec("BEGIN IMMEDIATE");
      change();
      this.#database.exec("COMMIT");
      this.#trouble = undefined;
    } catch (cause) {
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
      this.#trouble = { message: (cause as Error).message, since: this.#trouble?.since ?? Date.now() };
      throw weftError("WEFT-C-REGISTRY-UNWRITABLE", `A change could not be written to ${this.#path}: ${(cause as Error).message}.`, {
        cause,
      });
    }
  }

  #openError(cause: unknown): Error {
    if (kindOf(cause) === busy) return weftError("WEFT-C-ALREADY-RUNNING", `Another controller has ${this.#path} open.`, { cause });
    if (isDamage(cause) || cause instanceof NewerSchema) return damaged(this.#path, cause);
    return weftError("WEFT-C-REGISTRY-UNWRITABLE", `${this.#path} cannot be opened: ${(cause as Error).message}.`, { cause });
  }
}

function kindOf(error: unknown): number {
  return ((error as { errcode?: number }).errcode ?? 0) & 0xff;
}

function isDamage(error: unknown): boolean {
  return [corrupt, notADatabase].includes(kindOf(error));
}

function damaged(path: string, cause: unknown): WeftError {
  const { message } = cause instanceof WeftError ? (cause.cause as Error) : (cause as Error);
  return weftError("WEFT-C-REGISTRY-DAMAGED", `${path} cannot be read: ${message}.`, { cause });
}

/** What keeps changes from being written. */
export interface Trouble {
  message: string;
  /** Milliseconds since 1970. */
  since: number;
}

/** The changes that a transaction can make. */
export interface RegistryWriter {
  putService(record: ServiceRecord): void;
  deleteService(record: ServiceRecord): void;
  putWorkload(record: WorkloadRecord): void;
  deleteWorkload(id: string): void;
  putEndpoint(record: EndpointRecord): void;
  deleteEndpoint(id: string): void;
  putTombstone(record: TombstoneRecord): void;
  deleteTombstone(id: string): void;
  setCursor(kind: Cursor, value: number): void;
}

class NewerSchema extends Error {}

function migrate(database: DatabaseSync): void {
  const found = Number(database.prepare("PRAGMA user_version").get()?.user_version ?? 0);
  if (found > schemaVersion) throw new NewerSchema(`it was written by a newer version (schema ${found}, this one knows ${schemaVersion})`);
  if (found === schemaVersion) return;
  const create = (table: string) => database.exec(`CREATE TABLE ${table} (key TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT`);
  if (found < 1) {
    for (const table of ["service", "workload", "endpoint"]) create(table);
    database.exec("CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT");
  }
  create("tombstone");
  database.exec(`PRAGMA user_version = ${schemaVersion}`);
}

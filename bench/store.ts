// npm run bench -- --store: what the control plane's stores take, and how long they hold up the event loop. README.md says how it is measured.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { monitorEventLoopDelay, performance } from "node:perf_hooks";
import { DatabaseSync } from "node:sqlite";
import { openMemoryStore } from "../packages/controller/src/store/memory.ts";
import { openSqliteStore } from "../packages/controller/src/store/sqlite.ts";
import type { Store, Write } from "../packages/controller/src/store/store.ts";

const OBJECTS = 10_000;
const SINGLE = 200;
const WATCHERS = 20;
const resource = "services";

const at = (sorted: number[], part: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN;
const sort = (numbers: number[]) => numbers.toSorted((a, b) => a - b);
const turn = () => new Promise((resolve) => setImmediate(resolve));

/** An object of about 1 kB. */
function service(name: string): Write {
  const ports = [{ name: "http", port: 80, targetPort: 8080, appProtocol: "http" }];
  const spec = {
    ports,
    selector: { app: name },
    annotations: Object.fromEntries(Array.from({ length: 10 }, (_, index) => [`note${index}`, "x".repeat(60)])),
  };
  return { verb: "create", resource, object: { apiVersion: "v1", kind: "Service", metadata: { namespace: "default", name }, spec } };
}

/** Runs something, and answers how long it took and the stalls of the event loop meanwhile, all in milliseconds. */
async function timed(run: () => Promise<unknown>): Promise<{ ms: number; stallP99: number; stallMax: number }> {
  const delays = monitorEventLoopDelay({ resolution: 1 });
  await turn();
  delays.enable();
  const start = performance.now();
  await run();
  const ms = performance.now() - start;
  delays.disable();
  return { ms, stallP99: delays.percentile(99) / 1e6, stallMax: delays.max / 1e6 };
}

/** As many requests of clients come: 50 in a turn of the event loop. */
async function createAll(store: Store): Promise<void> {
  const writes = [];
  for (let index = 0; index < OBJECTS; index += 1) {
    writes.push(store.write(service(`service-${index}`)));
    if (index % 50 === 0) await turn();
  }
  await Promise.all(writes);
}

/** Milliseconds from asking for a write to hearing of it, for each of some watches. */
async function watchLatencies(store: Store): Promise<number[]> {
  const { revision } = await store.list(resource);
  const stop = new AbortController();
  const asked = new Map<string, number>();
  const latencies: number[] = [];
  const all = Promise.withResolvers<void>();
  const watch = async () => {
    for await (const event of store.watch(resource, { from: revision, signal: stop.signal })) {
      if (event.type !== "changes") continue;
      for (const { object } of event.changes) latencies.push(performance.now() - (asked.get(object.metadata.name) ?? Number.NaN));
      if (latencies.length === SINGLE * WATCHERS) all.resolve();
    }
  };
  const watches = Array.from({ length: WATCHERS }, watch);
  for (let index = 0; index < SINGLE; index += 1) {
    asked.set(`single-${index}`, performance.now());
    await store.write(service(`single-${index}`));
  }
  await all.promise;
  stop.abort();
  await Promise.all(watches);
  return sort(latencies);
}

/** Milliseconds that durable transactions of so many rows take: what they would hold up the event loop without a thread of their own. */
function commits(path: string, rows: number): number[] {
  const database = new DatabaseSync(path);
  database.exec(
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE IF NOT EXISTS change (sequence INTEGER PRIMARY KEY, body TEXT) STRICT",
  );
  const insert = database.prepare("INSERT INTO change (body) VALUES (?)");
  const body = JSON.stringify(service("commit"));
  const times = Array.from({ length: 50 }, () => {
    const start = performance.now();
    database.exec("BEGIN");
    for (let index = 0; index < rows; index += 1) insert.run(body);
    database.exec("COMMIT");
    return performance.now() - start;
  });
  database.close();
  return sort(times);
}

/** The measurements, as rows of a table. */
async function measure(directory: string): Promise<Record<string, Record<string, number>>> {
  const path = join(directory, "store.db");
  const round = (value: number) => Number(value.toFixed(2));
  const table: Record<string, Record<string, number>> = {};
  for (const [name, open] of Object.entries({ memory: async () => openMemoryStore(), sqlite: () => openSqliteStore(path) })) {
    const store = await open();
    const made = await timed(() => createAll(store));
    const listed = await timed(() => store.list(resource));
    const latencies = await watchLatencies(store);
    await store.close();
    const opened = await timed(async () => (await open()).close());
    table[name] = {
      "creates/s": Math.round((OBJECTS / made.ms) * 1000),
      "stall p99 ms": round(made.stallP99),
      "longest stall ms": round(made.stallMax),
      [`list of ${OBJECTS} ms`]: round(listed.ms),
      "watch p50 ms": round(at(latencies, 0.5)),
      "watch p99 ms": round(at(latencies, 0.99)),
      "open and close ms": round(opened.ms),
    };
  }
  for (const rows of [1, 500]) {
    const times = commits(join(directory, "commits.db"), rows);
    table[`a commit of ${rows} rows, alone`] = { "p50 ms": round(at(times, 0.5)), "p99 ms": round(at(times, 0.99)) };
  }
  return table;
}

const directory = mkdtempSync(join(tmpdir(), "weft-bench-"));
try {
  const { memory, sqlite, ...alone } = await measure(directory);
  console.table({ memory, sqlite });
  console.table(alone);
} finally {
  rmSync(directory, { recursive: true });
}

import { getCompileCacheDir } from "node:module";
import { dirname } from "node:path";
import { Worker } from "node:worker_threads";
import { type EdgeStat, type ErrorCode, type RefusalCount, type SidecarStats, type Stat, weftError } from "@weft/api";
import type { Logger } from "pino";
import type { Asked } from "./query.ts";
import type { By } from "./stat.ts";
import type { Reporter } from "./store.ts";

/** What the thread is asked for. */
export type Question =
  | { ask: "take"; reporter: Reporter; encoded: Uint8Array; nowMs: number }
  | { ask: "stat"; by: By; asked: Asked }
  | { ask: "edges"; asked: Asked }
  | { ask: "trouble" }
  | { ask: "forget" | "welcome"; workload: string };

/** What it answers. */
export interface Answers {
  take: Taken & { stats: SidecarStats | null };
  stat: Stat;
  edges: EdgeStat;
  trouble: Trouble;
  forget: undefined;
  welcome: undefined;
}

/** An answer, or why there is none. */
export interface Reply {
  id: number;
  content?: Answers[keyof Answers];
  refusal?: { code: ErrorCode; message: string };
  /** A fault of the thread's own code, with where it is. */
  fault?: string;
}

/** A report that was taken in. */
export interface Taken {
  sequence: bigint;
  /** End of its span by the sidecar's clock, milliseconds since 1970. */
  endMs: number;
}

/** What went wrong, by what sidecars reported. */
export interface Trouble {
  /** Histograms that did not fit the scheme. */
  malformed: number;
  refusals: { service: string; refusals: RefusalCount[] }[];
}

const restartMs = 1_000;

interface Waiting {
  resolve(content: Reply["content"]): void;
  reject(error: Error): void;
}

/**
 * What sidecars counted, kept in a thread of its own. Reports are handed over as they came, and questions are answered in the order in which they were asked, so each sees all that
 * was taken in before. When the thread ends, another begins anew a second later, with nothing.
 */
export class Telemetry {
  readonly #log: Logger;
  readonly #start: () => Worker;
  readonly #waiting = new Map<number, Waiting>();
  readonly #stats = new Map<string, SidecarStats>();
  #thread: Worker | undefined;
  #id = 0;
  #closed = false;

  constructor(log: Logger, start = startThread) {
    this.#log = log;
    this.#start = start;
    this.#thread = this.#begin();
  }

  /**
   * Takes in a report, unless it was taken in before. Rejects with WEFT-C-STREAM-VIOLATION when it does not fit the contract, and with WEFT-C-TELEMETRY-FAILED when nobody
   * knows whether it was taken in.
   */
  async take({ id, service, namespace }: Reporter, encoded: Uint8Array): Promise<Taken> {
    // A copy of its own, since what it came in holds more, and goes to the thread.
    const own = encoded.slice();
    const question: Question = { ask: "take", reporter: { id, service, namespace }, encoded: own, nowMs: Date.now() };
    const { stats, ...taken } = await this.#ask<"take">(question, [own.buffer]);
    if (stats === null) this.#stats.delete(id);
    else this.#stats.set(id, stats);
    return taken;
  }

  /** What was counted, by direction and by service, workload or route. */
  stat(by: By, asked: Asked): Promise<Stat> {
    return this.#ask<"stat">({ ask: "stat", by, asked });
  }

  /** Who calls whom. */
  edges(asked: Asked): Promise<EdgeStat> {
    return this.#ask<"edges">({ ask: "edges", asked });
  }

  trouble(): Promise<Trouble> {
    return this.#ask<"trouble">({ ask: "trouble" });
  }

  /** Gauges of a workload's sidecar; null before its first report. */
  sidecar(workload: string): SidecarStats | null {
    return this.#stats.get(workload) ?? null;
  }

  /** Forgets the gauges of a workload that was removed; its counts stay. */
  forget(workload: string): void {
    this.#stats.delete(workload);
    this.#tell({ ask: "forget", workload });
  }

  /** A workload that was removed is back. */
  welcome(workload: string): void {
    this.#tell({ ask: "welcome", workload });
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#thread?.terminate();
  }

  #begin(): Worker {
    const thread = this.#start();
    thread.unref();
    thread.on("message", ({ id, content, refusal, fault }: Reply) => {
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (refusal !== undefined) waiting?.reject(weftError(refusal.code, refusal.message));
      else if (fault !== undefined) waiting?.reject(new Error(fault));
      else waiting?.resolve(content);
    });
    thread.on("error", (error) =>
      this.#log.error({ error: error instanceof Error ? error.stack : String(error) }, "the thread of telemetry failed"),
    );
    thread.on("exit", () => this.#ended());
    return thread;
  }

  #ended(): void {
    for (const { reject } of this.#waiting.values()) reject(failed());
    this.#waiting.clear();
    this.#stats.clear();
    this.#thread = undefined;
    const again = () => {
      if (!this.#closed) this.#thread = this.#begin();
    };
    setTimeout(again, restartMs).unref();
  }

  // What comes of it nobody waits for.
  #tell(question: Question): void {
    this.#ask(question).catch(() => {});
  }

  #ask<Ask extends keyof Answers>(question: Question, transfer: ArrayBuffer[] = []): Promise<Answers[Ask]> {
    const thread = this.#thread;
    if (thread === undefined || this.#closed) return Promise.reject(failed());
    const id = ++this.#id;
    const { promise, resolve, reject } = Promise.withResolvers<Answers[Ask]>();
    this.#waiting.set(id, { resolve: (content) => resolve(content as Answers[Ask]), reject });
    thread.postMessage({ id, ...question }, transfer);
    return promise;
  }
}

function startThread(): Worker {
  // A thread does not take the process's cache of compiled code by itself, and without it needs 26 MB more.
  const cache = getCompileCacheDir();
  const env = cache === undefined ? process.env : { ...process.env, NODE_COMPILE_CACHE: dirname(cache) };
  return new Worker(new URL("./worker.ts", import.meta.url), { name: "weft-telemetry", execArgv: [], env });
}

function failed(): Error {
  return weftError("WEFT-C-TELEMETRY-FAILED", "The thread that keeps what sidecars counted has ended; counting begins anew.");
}

import type { Batch, Journal } from "../local.ts";
import type { Store } from "../store.ts";

/** The connection to a store was lost: nobody knows what became of a call. */
export class Lost extends Error {}

/** A call that fails: the nth one from 1 of all that change or list something, before it has an effect, or after. */
export interface Fault {
  call: number;
  when: "before" | "after";
}

/** A store whose calls fail as they were told to, and whose watches are lost after a number of events. */
export function withFaults(
  store: Store,
  { faults = [], watchEvents = Number.POSITIVE_INFINITY }: { faults?: readonly Fault[]; watchEvents?: number },
): Store {
  let calls = 0;
  const failing = async <T>(call: () => Promise<T>): Promise<T> => {
    calls += 1;
    const fault = faults.find((each) => each.call === calls);
    if (fault?.when === "before") throw new Lost("before");
    const answer = await call();
    if (fault?.when === "after") throw new Lost("after");
    return answer;
  };
  return {
    maxTransaction: store.maxTransaction,
    get trouble() {
      return store.trouble;
    },
    get: (key) => store.get(key),
    list: (resource, namespace) => failing(() => store.list(resource, namespace)),
    write: (write) => failing(() => store.write(write)),
    transaction: (writes) => failing(() => store.transaction(writes)),
    acquire: (lease, ttlMs) => store.acquire(lease, ttlMs),
    close: () => store.close(),
    async *watch(resource, options) {
      let count = 0;
      for await (const event of store.watch(resource, options)) {
        if (count === watchEvents) throw new Lost("watch");
        count += 1;
        yield event;
      }
    },
  };
}

/** A journal in memory that can be made to fail, or to keep everybody waiting. */
export class FaultyJournal implements Journal {
  readonly commits: Batch[] = [];
  /** What each commit throws. */
  error: Error | undefined;
  /** Which of the commits from now on throw, from 1. */
  failing: readonly number[] = [];
  #count = 0;
  #sequence = 0;
  #gate: PromiseWithResolvers<void> | undefined;

  async commit(batch: Batch): Promise<void> {
    await this.#gate?.promise;
    this.#count += 1;
    if (this.failing.includes(this.#count)) throw new Error("this commit fails");
    if (this.error) throw this.error;
    for (const { sequence } of batch.entries) {
      if (sequence <= this.#sequence) throw new Error(`entry ${sequence} comes after ${this.#sequence}`);
      this.#sequence = sequence;
    }
    this.commits.push(batch);
  }

  /** Lets commits wait until `flow`. */
  stall(): void {
    this.#gate = Promise.withResolvers();
  }

  flow(): void {
    this.#gate?.resolve();
    this.#gate = undefined;
  }

  async close(): Promise<void> {}
}

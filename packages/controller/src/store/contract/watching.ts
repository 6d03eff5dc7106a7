import type { Change, Store, WatchEvent, WatchOptions } from "../store.ts";

/** A watch that is read all the time, and all that it told. */
export class Recording {
  readonly from: string;
  readonly namespace: string | undefined;
  readonly events: WatchEvent[] = [];
  /** Resolves when the watch has ended by itself. */
  readonly ended: Promise<void>;
  readonly #stop = new AbortController();
  readonly #waiting = new Set<() => void>();

  constructor(store: Store, resource: string, options: Omit<WatchOptions, "signal">) {
    this.from = options.from;
    this.namespace = options.namespace;
    this.ended = this.#read(store.watch(resource, { ...options, signal: this.#stop.signal }));
    this.ended.catch(() => {});
  }

  get changes(): Change[] {
    return this.events.flatMap((event) => (event.type === "changes" ? event.changes : []));
  }

  /** Waits until an event fulfils a condition. Rejects when the watch ends without, or after 30 s. */
  async until(condition: (event: WatchEvent) => boolean): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const fail = (why: string) => reject(new Error(`${why}; it told last ${JSON.stringify(this.events.at(-1))}`));
    const look = () => this.events.some(condition) && resolve();
    const patience = setTimeout(() => fail("what the watch is to tell did not come within 30 s"), 30_000);
    this.#waiting.add(look);
    look();
    void this.ended.then(
      () => fail("the watch ended"),
      (error) => fail(String(error)),
    );
    try {
      await promise;
    } finally {
      clearTimeout(patience);
      this.#waiting.delete(look);
    }
  }

  /** Waits until an object of this name was told of. */
  async untilNamed(name: string, namespace = "ns1"): Promise<void> {
    const isIt = ({ object: { metadata } }: Change) => metadata.name === name && metadata.namespace === namespace;
    await this.until((event) => event.type === "changes" && event.changes.some(isIt));
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.ended;
  }

  async #read(events: AsyncIterable<WatchEvent>): Promise<void> {
    for await (const event of events) {
      this.events.push(event);
      for (const look of this.#waiting) look();
    }
  }
}

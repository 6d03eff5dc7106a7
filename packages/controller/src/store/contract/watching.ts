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

  /** Waits until an event fulfils a condition. Rejects when the watch ends without. */
  async until(condition: (event: WatchEvent) => boolean): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const look = () => this.events.some(condition) && resolve();
    this.#waiting.add(look);
    look();
    await Promise.race([
      promise,
      this.ended.then(() => Promise.reject(new Error(`the watch ended: ${JSON.stringify(this.events.at(-1))}`))),
    ]);
    this.#waiting.delete(look);
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

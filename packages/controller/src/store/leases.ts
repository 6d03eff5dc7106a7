import type { Lease } from "./store.ts";

/** Leases within one process: they go with it, and so do their holders. Times are the monotonic clock's, in milliseconds. */
export class Leases {
  readonly #now: () => number;
  readonly #held = new Map<string, LocalLease>();

  constructor(now: () => number) {
    this.#now = now;
  }

  /** As `Store.acquire`. */
  acquire(name: string, ttlMs: number): Lease | undefined {
    if (this.#held.get(name)?.held) return undefined;
    const lease = new LocalLease(this.#now, ttlMs, () => {
      if (this.#held.get(name) === lease) this.#held.delete(name);
    });
    this.#held.set(name, lease);
    return lease;
  }
}

class LocalLease implements Lease {
  readonly #now: () => number;
  readonly #ttlMs: number;
  readonly #forget: () => void;
  #deadline: number;

  constructor(now: () => number, ttlMs: number, forget: () => void) {
    this.#now = now;
    this.#ttlMs = ttlMs;
    this.#forget = forget;
    this.#deadline = now() + ttlMs;
  }

  get held(): boolean {
    return this.#now() < this.#deadline;
  }

  async renew(): Promise<boolean> {
    const asked = this.#now();
    if (asked >= this.#deadline) return false;
    this.#deadline = asked + this.#ttlMs;
    return true;
  }

  async release(): Promise<void> {
    this.#deadline = Number.NEGATIVE_INFINITY;
    this.#forget();
  }
}

/** Counts what may happen so many times at once, and so many times a second in the long run. */
export class Rate {
  readonly #burst: number;
  readonly #perSecond: number;
  #left: number;
  #at: number;

  /** Times are in milliseconds. */
  constructor(burst: number, perSecond: number, now: number) {
    this.#burst = burst;
    this.#perSecond = perSecond;
    this.#left = burst;
    this.#at = now;
  }

  /** Counts one; false when it is one too many. */
  take(now: number): boolean {
    this.#left = Math.min(this.#burst, this.#left + ((now - this.#at) * this.#perSecond) / 1_000);
    this.#at = now;
    this.#left -= 1;
    return this.#left >= 0;
  }
}

/** Joins "something changed" from many sides into one pending wake for one waiter. */
export class Wakeup {
  #pending = false;
  #resolve: (() => void) | undefined;

  /** Wakes the waiter, now or at its next wait. */
  wake = (): void => {
    this.#pending = true;
    this.#resolve?.();
  };

  /** Resolves at the next wake; at once when one is pending. */
  async wait(): Promise<void> {
    if (!this.#pending) await new Promise<void>((resolve) => (this.#resolve = resolve));
    this.#pending = false;
    this.#resolve = undefined;
  }
}

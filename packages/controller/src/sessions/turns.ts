/** At most this many in one turn of the event loop. */
const perTurn = 50;

/** Calls those who have something to do, a few in a turn of the event loop, so that a change that concerns all holds up nobody else for long. */
export class Turns {
  readonly #waiting = new Set<() => void>();
  #isDue = false;

  /** Calls `act` soon; once, however often it is asked for until then. */
  ask(act: () => void): void {
    this.#waiting.add(act);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#isDue || this.#waiting.size === 0) return;
    this.#isDue = true;
    setImmediate(() => {
      this.#isDue = false;
      let left = perTurn;
      for (const act of this.#waiting) {
        if (left === 0) break;
        left -= 1;
        this.#waiting.delete(act);
        act();
      }
      this.#schedule();
    });
  }
}

import type { Key, StoredObject } from "./store.ts";

/** One change of one object, as a local store keeps it. */
export interface Entry extends Key {
  /** Number of the change: 1, 2, 3... */
  readonly sequence: number;
  /** Its transaction's. */
  readonly revision: number;
  readonly deleted: boolean;
  /** The object after it; for a deletion, before it. */
  readonly object: StoredObject;
  /** Characters of JSON that it brought. */
  readonly size: number;
  /** Milliseconds since 1970. */
  readonly at: number;
}

/** How much of the past is kept for watches: whatever is reached first. */
export interface HistoryBounds {
  /** Changes. */
  changes: number;
  /** Characters of JSON that they brought. */
  characters: number;
  /** Age in milliseconds. */
  ageMs: number;
}

export const defaultBounds: HistoryBounds = { changes: 10_000, characters: 32 << 20, ageMs: 3_600_000 };

/** The latest changes, oldest first. Watches are places in it, so that it is all that they cost. */
export class History {
  readonly #bounds: HistoryBounds;
  readonly #entries: Entry[] = [];
  #characters = 0;
  #floor: number;

  /** `floor`: what happened up to this revision is not known. */
  constructor(bounds: HistoryBounds, floor: number) {
    this.#bounds = bounds;
    this.#floor = floor;
  }

  /** Everything after this revision is known. */
  get floor(): number {
    return this.#floor;
  }

  add(entry: Entry): void {
    this.#entries.push(entry);
    this.#characters += entry.size;
  }

  /** Forgets what is beyond the bounds, and answers it. */
  compact(now: number): Entry[] {
    const { changes, characters, ageMs } = this.#bounds;
    let count = 0;
    for (const entry of this.#entries) {
      const isWithin = this.#entries.length - count <= changes && this.#characters <= characters && now - entry.at <= ageMs;
      if (isWithin) break;
      count += 1;
      this.#characters -= entry.size;
      this.#floor = entry.revision;
    }
    return this.#entries.splice(0, count);
  }

  /** Whether a watch that was told this revision last is about to lose its place. */
  isOld(revision: number): boolean {
    return this.#entries.length - this.#indexAfter(revision) > this.#bounds.changes / 2 || revision < this.#floor;
  }

  /** The next revision after one that has entries which `matches`, and these. */
  after(revision: number, matches: (entry: Entry) => boolean): Entry[] {
    const found: Entry[] = [];
    for (let index = this.#indexAfter(revision); index < this.#entries.length; index += 1) {
      const entry = this.#entries[index] as Entry;
      if (found[0] !== undefined && found[0].revision !== entry.revision) break;
      if (matches(entry)) found.push(entry);
    }
    return found;
  }

  #indexAfter(revision: number): number {
    let [low, high] = [0, this.#entries.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#entries[middle] as Entry).revision <= revision) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

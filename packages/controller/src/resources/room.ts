import { weftError } from "@weft/api";
import type { Store } from "../store/store.ts";

/** Most objects of one resource. */
export const maxObjectsOfResource = 20_000;

/** How many objects of each resource may still be made. Counting all of them for each that is made would cost more than making it. */
export class Room {
  readonly #most: number;
  /** How many can be made before there could be too many. */
  readonly #left = new Map<string, number>();

  constructor(most = maxObjectsOfResource) {
    this.#most = most;
  }

  /** Takes a place for a new object. Throws WEFT-C-TOO-MANY. */
  async take(store: Store, resource: string): Promise<void> {
    const left = this.#left.get(resource) ?? 0;
    if (left > 0) {
      this.#left.set(resource, left - 1);
      return;
    }
    const { length } = (await store.list(resource)).items;
    if (length >= this.#most) {
      throw weftError("WEFT-C-TOO-MANY", `There are ${length} objects of ${resource}, and no more than ${this.#most} are kept.`);
    }
    this.#left.set(resource, this.#most - length - 1);
  }
}

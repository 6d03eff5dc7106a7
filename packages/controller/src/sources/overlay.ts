import type { SourceEvent } from "../graph/events.ts";
import { placeOf } from "../graph/snapshot.ts";
import type { StoredObject } from "../store/store.ts";

/** Objects of a resource that people write, and those that follow from what runs: of two at one place, people's holds. */
export class Overlay {
  readonly #resource: string;
  readonly #written = new Map<string, StoredObject>();
  readonly #running = new Map<string, StoredObject>();

  constructor(resource: string) {
    this.#resource = resource;
  }

  /** Whether somebody wrote an object at a place. */
  isWritten(place: string): boolean {
    return this.#written.has(place);
  }

  /** Takes in all that is written. */
  listed(objects: readonly StoredObject[]): SourceEvent[] {
    this.#written.clear();
    for (const object of objects) this.#written.set(placeOf(object.metadata), object);
    const all = new Map([...this.#running, ...this.#written]);
    return [{ type: "relisted", resource: this.#resource, objects: [...all.values()] }];
  }

  /** Takes in what is written at a place now; undefined when that is nothing any more. */
  write(place: string, object: StoredObject | undefined): SourceEvent[] {
    return this.#set(this.#written, place, object);
  }

  /** Takes in what follows from what runs at a place now. */
  run(place: string, object: StoredObject | undefined): SourceEvent[] {
    return this.#set(this.#running, place, object);
  }

  #set(layer: Map<string, StoredObject>, place: string, object: StoredObject | undefined): SourceEvent[] {
    const before = this.#at(place);
    if (object === undefined) layer.delete(place);
    else layer.set(place, object);
    const after = this.#at(place);
    if (after !== undefined) return after === before ? [] : [{ type: "put", resource: this.#resource, object: after }];
    return before === undefined ? [] : [{ type: "delete", resource: this.#resource, object: before }];
  }

  #at(place: string): StoredObject | undefined {
    return this.#written.get(place) ?? this.#running.get(place);
  }
}

import type { Key, StoredObject } from "../store/store.ts";
import { listAt, listKey, objectAt, objectKey, placeOf, type Snapshot } from "./snapshot.ts";
import type { View } from "./view.ts";

/** What views see. Whatever they read of it is what they depend on. */
export interface Reader {
  /** The object, if there is one. */
  get(key: Key): StoredObject | undefined;
  /** Objects of a resource that are about something (`lists.ts`), by namespace and name. */
  list(resource: string, about: string): readonly StoredObject[];
  /** What an earlier view makes of a key. */
  view<Value>(view: View<Value>, key: string): Value | undefined;
}

/** Key by which a view's value is read, and known to have changed. */
export const viewKey = ({ name }: View<unknown>, key: string) => `view ${name} ${key}`;

/** Reads a snapshot, and records what was read: before it is read, so that nothing read is ever missing. */
export class RecordingReader implements Reader {
  readonly reads = new Set<string>();
  readonly #snapshot: Snapshot;
  readonly #make: (view: View<unknown>, key: string) => unknown;

  /** `make` answers what a view makes of a key. */
  constructor(snapshot: Snapshot, make: (view: View<unknown>, key: string) => unknown) {
    this.#snapshot = snapshot;
    this.#make = make;
  }

  get(key: Key): StoredObject | undefined {
    this.reads.add(objectKey(key.resource, placeOf(key)));
    return objectAt(this.#snapshot, key);
  }

  list(resource: string, about: string): readonly StoredObject[] {
    this.reads.add(listKey(resource, about));
    return listAt(this.#snapshot, resource, about);
  }

  view<Value>(view: View<Value>, key: string): Value | undefined {
    this.reads.add(viewKey(view, key));
    return this.#make(view, key) as Value | undefined;
  }
}

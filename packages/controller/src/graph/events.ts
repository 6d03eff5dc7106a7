import type { StoredObject } from "../store/store.ts";

/** A change of one object; `object` is what it is now, or was last. */
export interface Changed {
  readonly type: "put" | "delete";
  readonly resource: string;
  readonly object: StoredObject;
}

/** All objects of a resource, in one namespace or in all: whatever else was known of it is gone. */
export interface Relisted {
  readonly type: "relisted";
  readonly resource: string;
  readonly namespace?: string | undefined;
  readonly objects: readonly StoredObject[];
}

/**
 * All that sources say. Objects are as their kind's schema leaves them, valid and filled in by defaults, and never changed afterwards. Events of a
 * resource come in their order; nothing is promised of the order between two resources.
 */
export type SourceEvent = Changed | Relisted;

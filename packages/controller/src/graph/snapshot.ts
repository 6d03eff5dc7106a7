import type { Key, StoredObject } from "../store/store.ts";
import { Table } from "./table.ts";

/** All objects at one moment. Immutable; a later snapshot shares with it what did not change. */
export interface Snapshot {
  /** By resource, then by namespace and name. */
  readonly objects: ReadonlyMap<string, Table<StoredObject>>;
  /** Objects by what they are about (`lists.ts`): by key of the list, then by namespace and name. */
  readonly lists: Table<ReadonlyMap<string, StoredObject>>;
}

/** A snapshot without objects. */
export const emptySnapshot: Snapshot = { objects: new Map(), lists: Table.empty() };

/** Key of an object within its resource. */
export const placeOf = ({ namespace, name }: { readonly namespace?: string; readonly name: string }) => `${namespace ?? ""}/${name}`;

/** By this key an object is read, and known to have changed. */
export const objectKey = (resource: string, place: string) => `${resource}/${place}`;

/** By this key a list is read, and known to have changed: when an object came into it, left it, or changed in it. */
export const listKey = (resource: string, about: string) => `${resource}?${about}`;

/** The object, if there is one. */
export function objectAt({ objects }: Snapshot, key: Key): StoredObject | undefined {
  return objects.get(key.resource)?.get(placeOf(key));
}

/** Objects of a list, by namespace and name. */
export function listAt({ lists }: Snapshot, resource: string, about: string): StoredObject[] {
  const list = lists.get(listKey(resource, about)) ?? new Map<string, StoredObject>();
  return [...list].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, object]) => object);
}

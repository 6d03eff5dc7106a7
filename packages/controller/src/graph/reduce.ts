import type { StoredObject } from "../store/store.ts";
import type { SourceEvent } from "./events.ts";
import { listsOf } from "./lists.ts";
import { listKey, objectKey, placeOf, type Snapshot } from "./snapshot.ts";
import { Table } from "./table.ts";

type Latest = Map<string, StoredObject | undefined>;

/** What came of some events. */
export interface Reduced {
  snapshot: Snapshot;
  /** Keys of objects and lists that are not what they were. */
  changed: ReadonlySet<string>;
}

/** The snapshot after some events. It is the same one, and nothing changed, when they lead back to it. */
export function reduce(snapshot: Snapshot, events: readonly SourceEvent[]): Reduced {
  const changed = new Set<string>();
  const objects = new Map(snapshot.objects);
  const lists = new Map<string, Map<string, StoredObject>>();
  for (const [resource, latest] of latestOf(snapshot, events)) {
    const table = snapshot.objects.get(resource) ?? Table.empty<StoredObject>();
    const differing = new Map([...latest].filter(([place, object]) => !isSame(table.get(place), object)));
    objects.set(resource, table.with(differing));
    for (const [place, object] of differing) {
      changed.add(objectKey(resource, place));
      for (const about of listsOf(resource, table.get(place))) listOf(listKey(resource, about)).delete(place);
      if (object === undefined) continue;
      for (const about of listsOf(resource, object)) listOf(listKey(resource, about)).set(place, object);
    }
  }
  if (changed.size === 0) return { snapshot, changed };
  const next = new Map([...lists].map(([key, list]) => [key, list.size === 0 ? undefined : list]));
  return { snapshot: { objects, lists: snapshot.lists.with(next) }, changed };

  function listOf(key: string): Map<string, StoredObject> {
    const list = lists.get(key) ?? new Map(snapshot.lists.get(key));
    lists.set(key, list);
    changed.add(key);
    return list;
  }
}

/** What each object that events tell of is in the end: by resource, then by namespace and name. */
function latestOf(snapshot: Snapshot, events: readonly SourceEvent[]): Map<string, Latest> {
  const all = new Map<string, Latest>();
  for (const event of events) {
    const latest: Latest = all.get(event.resource) ?? new Map();
    all.set(event.resource, latest);
    if (event.type === "relisted") relist(latest, snapshot.objects.get(event.resource), event);
    else latest.set(placeOf(event.object.metadata), event.type === "put" ? event.object : undefined);
  }
  return all;
}

function relist(latest: Latest, known: Table<StoredObject> | undefined, { namespace, objects }: SourceEvent & { type: "relisted" }): void {
  const isMeant = (place: string) => namespace === undefined || place.startsWith(`${namespace}/`);
  for (const place of [...(known?.keys() ?? []), ...latest.keys()]) if (isMeant(place)) latest.set(place, undefined);
  for (const object of objects) latest.set(placeOf(object.metadata), object);
}

// A list tells again of what is known; its objects are others, but of the same version.
function isSame(before: StoredObject | undefined, after: StoredObject | undefined): boolean {
  if (before === undefined || after === undefined) return before === after;
  const [a, b] = [before.metadata, after.metadata];
  return before === after || (a.uid === b.uid && a.resourceVersion === b.resourceVersion);
}

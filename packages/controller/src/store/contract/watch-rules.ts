import { isDeepStrictEqual } from "node:util";
import { type Change, compareRevisions, type StoredObject, type WatchEvent } from "../store.ts";

/** What a watch was asked for, and all that it told. */
export interface Watched {
  from: string;
  namespace?: string | undefined;
  events: readonly WatchEvent[];
}

/** The promises that a watch broke, each as the promise and what was seen; `history` is every change of the resource, oldest first. */
export function brokenPromises(history: readonly Change[], watched: Watched): string[] {
  const events = watched.events.filter((event) => event.type !== "expired");
  const told = events.flatMap((event) => (event.type === "changes" ? event.changes : []));
  const due = history.filter(({ object }) => isWanted(watched, object) && compareRevisions(revisionOf(object), watched.from) > 0);
  const promises = { ordered, unique, atomic, reliable, resumable, bookmarkable };
  return Object.values(promises).flatMap((promise) => promise({ watched, events, told, due }));
}

type Told = Exclude<WatchEvent, { type: "expired" }>;

interface Seen {
  watched: Watched;
  events: readonly Told[];
  told: readonly Change[];
  /** What it had to tell, up to the end of history. */
  due: readonly Change[];
}

function ordered({ events }: Seen): string[] {
  return events
    .filter(({ revision }, index) => index > 0 && compareRevisions(revision, events[index - 1]?.revision ?? "") < 0)
    .map(({ revision }) => `ST15 ordered: revisions never go back, and ${revision} came late`);
}

function unique({ told }: Seen): string[] {
  const known = new Set<string>();
  return told
    .filter(({ object }) => known.size === known.add(idOf(object)).size)
    .map(({ object }) => `ST16 unique: each change is told once, and ${idOf(object)} was told again`);
}

function atomic({ events, due }: Seen): string[] {
  return events.flatMap((event, index) => {
    if (event.type !== "changes") return [];
    const { revision, changes } = event;
    const all = due.filter(({ object }) => revisionOf(object) === revision);
    if (events.findIndex((each) => each.type === "changes" && each.revision === revision) < index)
      return [`ST17 atomic: a revision is one event, and ${revision} came in two`];
    if (changes.some(({ object }) => revisionOf(object) !== revision))
      return [`ST17 atomic: an event is of one revision, and that of ${revision} has others`];
    return changes.length < all.length
      ? [`ST17 atomic: an event has all of its revision, and that of ${revision} has ${changes.length} of ${all.length}`]
      : [];
  });
}

function reliable({ events, told, due }: Seen): string[] {
  const end = events.at(-1)?.revision ?? "";
  const [known, real] = [told, due].map((changes) => new Map(changes.map((change) => [idOf(change.object), change])));
  const missing = due
    .filter(({ object }) => compareRevisions(revisionOf(object), end) <= 0 && !known?.has(idOf(object)))
    .map(({ object }) => `ST18 reliable: nothing is left out, and ${idOf(object)} is missing`);
  const untrue = told
    .filter((change) => !isDeepStrictEqual(real?.get(idOf(change.object)), change))
    .map(({ object }) => `ST18 reliable: only what was asked for and happened is told, and ${idOf(object)} is not that`);
  return [...missing, ...untrue];
}

function resumable({ watched: { from }, events }: Seen): string[] {
  return events
    .filter(({ revision }) => compareRevisions(revision, from) <= 0)
    .map(({ revision }) => `ST19 resumable: a watch from ${from} begins after it, and ${revision} is not`);
}

function bookmarkable({ events, due }: Seen): string[] {
  return events.flatMap(({ type, revision }, index) => {
    if (type !== "bookmark") return [];
    const before = events.slice(0, index).flatMap((event) => (event.type === "changes" ? event.changes : []));
    return due
      .filter(
        ({ object }) => compareRevisions(revisionOf(object), revision) <= 0 && !before.some((each) => idOf(each.object) === idOf(object)),
      )
      .map(
        ({ object }) =>
          `ST20 bookmarkable: everything up to a bookmark was told before it, and ${idOf(object)} was not told before ${revision}`,
      );
  });
}

function isWanted({ namespace }: Watched, { metadata }: StoredObject): boolean {
  return namespace === undefined || (metadata.namespace ?? "") === namespace;
}

function revisionOf({ metadata }: StoredObject): string {
  return metadata.resourceVersion;
}

function idOf({ metadata: { namespace = "", name, resourceVersion } }: StoredObject): string {
  return `${namespace}/${name} at ${resourceVersion}`;
}

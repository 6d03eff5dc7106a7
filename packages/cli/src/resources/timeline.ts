import type { Kind } from "@weft/api/kinds";
import type { ApiObject } from "@weft/client";
import { changedFields, changeWords } from "./changed-fields.ts";
import { type Stated, statedOf } from "./conditions.ts";
import { wantedOf } from "./last-applied.ts";
import { shownObject } from "./targets.ts";

/** Something that happened to an object. */
export interface ObjectEvent {
  /** RFC 3339. */
  at: string;
  /** Absent for objects that are in no namespace. */
  namespace?: string;
  /** `httproute/users`. */
  object: string;
  what: "created" | "changed" | "deleted" | "status";
  message: string;
}

const maxChanges = 4;

/** What an object itself tells of its past: when it was created, and since when what its status states is so. Oldest first. */
export function pastOf(kind: Kind, object: ApiObject): ObjectEvent[] {
  const event = eventsOf(kind, object);
  return [
    event(object.metadata.creationTimestamp, "created", "created"),
    ...statedOf(object).map((stated) => event(stated.condition.lastTransitionTime, "status", statedWords(stated))),
  ].sort(byTime);
}

/** Orders events by time. */
export const byTime = (a: ObjectEvent, b: ObjectEvent) => Date.parse(a.at) - Date.parse(b.at);

/** What happened between two versions of an object, one of which may not be. `now` is RFC 3339. */
export function happened(kind: Kind, before: ApiObject | undefined, after: ApiObject | undefined, now: string): ObjectEvent[] {
  if (before !== undefined && after !== undefined && before.metadata.uid !== after.metadata.uid)
    return [...happened(kind, before, undefined, now), ...happened(kind, undefined, after, now)];
  const object = after ?? before;
  if (object === undefined) return [];
  const event = eventsOf(kind, object);
  if (after === undefined) return [event(now, "deleted", "deleted")];
  if (before === undefined) return [event(now, "created", "created"), ...statedNew([], after).map((words) => event(now, "status", words))];
  const changes = changedFields(wantedOf(before), wantedOf(after)).map(changeWords);
  const told = [...changes.slice(0, maxChanges), ...(changes.length > maxChanges ? [`${changes.length - maxChanges} more`] : [])];
  return [
    ...(told.length > 0 ? [event(now, "changed", told.join(", "))] : []),
    ...statedNew(statedOf(before), after).map((words) => event(now, "status", words)),
  ];
}

/** What is stated now and was not before. */
function statedNew(before: readonly Stated[], after: ApiObject): string[] {
  const known = before.map(statedWords);
  return statedOf(after)
    .map(statedWords)
    .filter((words) => !known.includes(words));
}

/** A condition in words: `not ResolvedRefs for service/users (BackendNotFound): There is no Service users-next.` */
export function statedWords({ condition: { type, status, reason, message }, parent }: Stated): string {
  const name = type.replace(/^weft\.dev\//, "");
  const about = parent === undefined ? "" : ` for ${parent}`;
  const why = reason === name ? "" : ` (${reason})`;
  if (status === "True") return `${name}${about}${why}: ${message}`;
  return status === "False" ? `not ${name}${about}${why}: ${message}` : `${name}${about} unknown${why}: ${message}`;
}

function eventsOf(kind: Kind, { metadata: { namespace, name } }: ApiObject) {
  return (at: string, what: ObjectEvent["what"], message: string): ObjectEvent => ({
    at,
    ...(namespace !== undefined && { namespace }),
    object: shownObject(kind, name),
    what,
    message,
  });
}

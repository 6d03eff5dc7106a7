import { isDeepStrictEqual } from "node:util";
import { checkObject, type Kind, type Read } from "@weft/api/kinds";
import type { ApiObject, DraftObject } from "@weft/client";
import { usageError } from "../errors.ts";
import { applied, wantedOf } from "./last-applied.ts";

/** What is to become of an object. */
export type Verb = "create" | "configure" | "none";

/** An object that a document describes, at its place. */
export interface Wanted {
  kind: Kind;
  object: DraftObject;
  /** `routes.yaml:3`. */
  place: string;
  /** Version that the document says it is based on. */
  basedOn?: string;
}

/** What applying a document comes to. */
export interface Step {
  wanted: Wanted;
  verb: Verb;
  /** What is sent. */
  object: DraftObject;
}

/** The objects of documents, in the order in which they are sent: what others refer to goes first. */
export function wantedObjects(resources: readonly Read[], kinds: readonly Kind[], namespace: string | undefined, other: string): Wanted[] {
  return resources
    .map(({ kind, written, file, line }): Wanted => {
      const object = wantedOf(placed(kind, written as unknown as DraftObject, namespace, other));
      const basedOn = (written.metadata as { resourceVersion?: string }).resourceVersion;
      return { kind, object, place: `${file}:${line}`, ...(basedOn !== undefined && { basedOn }) };
    })
    .sort((a, b) => kinds.indexOf(a.kind) - kinds.indexOf(b.kind));
}

/** An object in its namespace: its own, else that of the command, else `other`. */
function placed(kind: Kind, object: DraftObject, asked: string | undefined, other: string): DraftObject {
  if (!kind.namespaced) return object;
  const { namespace: own, ...metadata } = object.metadata;
  if (own !== undefined && asked !== undefined && own !== asked)
    throw usageError(
      `${kind.kind} ${object.metadata.name} is in namespace ${own}, and the command line says --namespace ${asked}.`,
      "Leave one of the two out.",
    );
  return { ...object, metadata: { ...metadata, namespace: own ?? asked ?? other } as DraftObject["metadata"] };
}

/** What has to be done so that what is there is as it is wanted. */
export function stepFor(wanted: Wanted, live: ApiObject | undefined): Step {
  const object = applied(wanted.object, live);
  if (live === undefined) return { wanted, verb: "create", object };
  return { wanted, verb: isSame(object, live) ? "none" : "configure", object };
}

/** Whether two objects say the same, defaults or not. */
function isSame(object: DraftObject, live: ApiObject): boolean {
  if (isDeepStrictEqual(object, live)) return true;
  const filled = (value: DraftObject) => {
    const { status: _, ...rest } = value;
    return checkObject(rest).object ?? rest;
  };
  return isDeepStrictEqual(filled(object), filled(live));
}

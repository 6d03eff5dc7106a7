import { isMapping } from "@weft/api/kinds";
import type { ApiObject, DraftObject } from "@weft/client";
import { merge } from "./merge.ts";

/** Where an object keeps what was applied last. It is kubectl's: both tools can be used for the same object. */
export const lastAppliedAnnotation = "kubectl.kubernetes.io/last-applied-configuration";

// All annotations together may have 256 KiB. An object whose text does not fit is replaced as a whole.
const maxBytes = 200 * 1024;

/** Fields of metadata that the server sets, whatever a document says. */
const serversOwn = ["uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "managedFields", "selfLink"];

/** What a document wants of an object: without status, and without what only the server sets. */
export function wantedOf(written: DraftObject): DraftObject {
  const { status: _, apiVersion, kind, metadata, ...body } = written;
  const { annotations, ...others } = metadata as { annotations?: unknown } & DraftObject["metadata"];
  const kept = Object.entries(others).filter(([key]) => !serversOwn.includes(key));
  const notes = isMapping(annotations) ? Object.entries(annotations).filter(([key]) => key !== lastAppliedAnnotation) : [];
  const noted = notes.length > 0 ? { annotations: Object.fromEntries(notes) } : {};
  return { apiVersion, kind, metadata: { ...Object.fromEntries(kept), ...noted } as DraftObject["metadata"], ...body };
}

/** The object as it is to be once `wanted` is applied to what is there. */
export function applied(wanted: DraftObject, live: ApiObject | undefined): DraftObject {
  const text = `${JSON.stringify(wanted)}\n`;
  const fits = Buffer.byteLength(text) <= maxBytes;
  const last = lastAppliedTo(live) ?? (fits || live === undefined ? {} : bodyOf(live));
  const merged = merge(last, wanted, live) as DraftObject;
  return withNote(merged, fits ? text : undefined);
}

function lastAppliedTo(live: ApiObject | undefined): unknown {
  const note = live?.metadata.annotations?.[lastAppliedAnnotation];
  try {
    return note === undefined ? undefined : JSON.parse(note);
  } catch {
    // Somebody wrote something else there.
    return undefined;
  }
}

const bodyOf = ({ metadata: _, status: __, ...body }: ApiObject) => body;

function withNote(object: DraftObject, note: string | undefined): DraftObject {
  const { [lastAppliedAnnotation]: _, ...others } = (object.metadata.annotations ?? {}) as Record<string, string>;
  const annotations = note === undefined ? others : { ...others, [lastAppliedAnnotation]: note };
  return { ...object, metadata: { ...object.metadata, annotations } };
}

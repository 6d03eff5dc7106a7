import { isDeepStrictEqual } from "node:util";
import { weftError } from "@weft/api";
import { type Draft, type Key, keyOf, type StoredObject, type Write } from "./store.ts";

/** Length of an object as JSON: what etcd takes in one request, with room for what is around it. */
const maxLength = 1 << 20;

/** What the store gives to a change. */
export interface Stamp {
  revision: string;
  /** RFC 3339. */
  now: string;
  /** Makes a uid. */
  uid(): string;
}

/** What a write makes of an object: its last state for a deletion, and `current` itself if nothing changes. Throws `WEFT-C-OBJECT-...` if it cannot be made. */
export function apply(current: StoredObject | undefined, write: Write, stamp: Stamp): StoredObject {
  const key = keyOf(write);
  if (write.verb === "create") {
    if (current !== undefined) throw weftError("WEFT-C-OBJECT-EXISTS", `${nameOf(key)} is there already.`);
    return created(write.object, stamp);
  }
  if (current === undefined) throw weftError("WEFT-C-OBJECT-UNKNOWN", `There is no ${nameOf(key)}.`);
  compare(key, current, write);
  if (write.verb === "delete") return withMetadata(current, { resourceVersion: stamp.revision });
  return write.verb === "update" ? updated(current, write.object, stamp) : withStatus(current, write.object.status, stamp);
}

function created(draft: Draft, { revision, now, uid }: Stamp): StoredObject {
  const { status: _, ...rest } = draft;
  return withMetadata(rest as Draft, { uid: uid(), resourceVersion: revision, generation: 1, creationTimestamp: now });
}

function updated(current: StoredObject, draft: Draft, { revision }: Stamp): StoredObject {
  const { uid, resourceVersion, generation, creationTimestamp } = current.metadata;
  const status = current.status === undefined ? {} : { status: current.status };
  const { status: _, ...rest } = draft;
  const next = { ...withMetadata(rest as Draft, { uid, resourceVersion, generation, creationTimestamp }), ...status };
  if (isDeepStrictEqual(next, current)) return current;
  const sameContent = isDeepStrictEqual({ ...next, metadata: undefined }, { ...current, metadata: undefined });
  return withMetadata(next, { resourceVersion: revision, generation: sameContent ? generation : generation + 1 });
}

function withStatus(current: StoredObject, status: unknown, { revision }: Stamp): StoredObject {
  if (isDeepStrictEqual(status, current.status)) return current;
  const { status: _, ...rest } = current;
  const next = status === undefined ? rest : { ...rest, status };
  return withMetadata(next as StoredObject, { resourceVersion: revision });
}

function withMetadata(object: Draft | StoredObject, own: Partial<StoredObject["metadata"]>): StoredObject {
  return { ...object, metadata: { ...object.metadata, ...own } } as StoredObject;
}

function compare(key: Key, { metadata }: StoredObject, write: Write): void {
  const expected = write.verb === "delete" ? write : write.object.metadata;
  if (write.verb !== "delete" && expected.resourceVersion === undefined)
    throw weftError("WEFT-C-OBJECT-UNFIT", `The change of ${nameOf(key)} does not say of which resourceVersion.`);
  for (const field of ["uid", "resourceVersion"] as const) {
    if (expected[field] === undefined || expected[field] === metadata[field]) continue;
    throw weftError(
      "WEFT-C-OBJECT-CHANGED",
      `${nameOf(key)} is not as it was when it was read: its ${field} is ${metadata[field]}, not ${expected[field]}.`,
    );
  }
}

/** A write that nobody else holds. */
export interface CopiedWrite {
  write: Write;
  /** Characters of its JSON. */
  size: number;
}

/** A write's own copy, as JSON has it, that whoever asked cannot change any more. Throws `WEFT-C-OBJECT-UNFIT` when it cannot be stored. */
export function copyWrite(write: Write): CopiedWrite {
  const text = jsonOf(write);
  if (text.length > maxLength) throw weftError("WEFT-C-OBJECT-UNFIT", `An object is ${text.length} characters long, over ${maxLength}.`);
  const copy = JSON.parse(text) as Write;
  const key = copy.verb === "delete" || typeof copy.object?.metadata === "object" ? keyOf(copy) : undefined;
  if (key === undefined || !isKey(key))
    throw weftError(
      "WEFT-C-OBJECT-UNFIT",
      `An object cannot be stored as ${nameOf(key ?? {})}: resource and name are needed, without slashes.`,
    );
  return { write: copy, size: text.length };
}

function jsonOf(write: Write): string {
  try {
    return JSON.stringify(write);
  } catch (cause) {
    throw weftError("WEFT-C-OBJECT-UNFIT", `An object is no JSON: ${(cause as Error).message}.`, { cause });
  }
}

function isKey({ resource, namespace, name }: Key): boolean {
  const isPart = (part: unknown) => typeof part === "string" && !part.includes("/");
  return isPart(resource) && isPart(namespace) && isPart(name) && resource !== "" && name !== "";
}

/** How messages name an object. */
export function nameOf({ resource, namespace, name }: Partial<Key>): string {
  return [resource, namespace, name].filter((part) => part !== "").join("/");
}

/** Freezes JSON through and through, and answers it. */
export function freeze<T>(value: T): T {
  if (typeof value !== "object" || value === null || Object.isFrozen(value)) return value;
  for (const part of Object.values(value)) freeze(part);
  return Object.freeze(value);
}

import { randomInt, randomUUID } from "node:crypto";
import { WeftError } from "@weft/api";
import { type Checked, checkObject, type Fault, isMapping, type Kind, type Resource } from "@weft/api/kinds";
import { apply } from "../store/change.ts";
import type { Draft, StoredObject, Write } from "../store/store.ts";
import type { ResourceContext } from "./context.ts";
import { resourceOf } from "./namespaces.ts";
import { getObject } from "./read.ts";
import { badRequest, InvalidObject } from "./status.ts";
import type { ObjectTarget } from "./target.ts";

/** How something is written. */
export interface WriteOptions {
  /** Everything is done but the writing. */
  isDryRun: boolean;
}

/** What became of a write. */
export interface Written {
  object: StoredObject;
  warnings: readonly Fault[];
}

/** On what a deletion depends, and of what it is: as Kubernetes' DeleteOptions. */
export interface Preconditions {
  uid?: string | undefined;
  resourceVersion?: string | undefined;
}

/** How often a change is tried anew that names no version and finds another one each time. */
const maxAttempts = 10;

/** Makes a new object. */
export async function createObject(context: ResourceContext, target: ObjectTarget, body: unknown, options: WriteOptions): Promise<Written> {
  const metadata = metadataOf(body);
  if (metadata.resourceVersion !== undefined && metadata.resourceVersion !== "")
    throw badRequest(
      "metadata.resourceVersion is set, and a new object has none yet.",
      "Leave it out, or change the object that there is.",
    );
  const { generateName, ...others } = metadata;
  const isNamed = others.name !== undefined && others.name !== "";
  const name = isNamed || typeof generateName !== "string" ? others.name : generatedName(generateName);
  const { status: _, ...rest } = body as Record<string, unknown>;
  const { object, warnings } = check({ ...rest, metadata: { ...writable({ ...metadata, name }) } }, target);
  const { kind, isDryRun } = { kind: target.kind as Kind, ...options };
  const store = context.stores.storeFor(resourceOf(kind));
  // Somebody else's object is no reason to give a new one an address.
  const draft = (admitted: Resource) => ({ verb: "create", resource: resourceOf(kind), object: admitted as Draft }) as const;
  if (!isDryRun) await context.room.take(store, resourceOf(kind));
  const current = await store.get({ resource: resourceOf(kind), namespace: target.namespace ?? "", name: object.metadata.name });
  const write = draft(current === undefined ? context.admit({ kind, object, current, isDryRun }) : object);
  return { object: isDryRun ? imagined(current, write) : await store.write(write), warnings };
}

/**
 * Changes an object to what `make` makes of it. A change that names the version on which it is based fails if there is another one; one that names
 * none is made of whatever there is.
 */
export async function changeObject(
  context: ResourceContext,
  target: ObjectTarget,
  make: (current: StoredObject) => unknown,
  options: WriteOptions,
): Promise<Written> {
  for (let attempt = 1; ; attempt += 1) {
    const current = await getObject(context, target);
    const body = make(current);
    const { resourceVersion = current.metadata.resourceVersion } = metadataOf(body);
    try {
      return await changeOnce(context, target, { body, current }, options);
    } catch (error) {
      const isOutdated = resourceVersion !== current.metadata.resourceVersion;
      if (isOutdated || attempt === maxAttempts || !isChanged(error)) throw error;
    }
  }
}

const isChanged = (error: unknown) => error instanceof WeftError && error.code === "WEFT-C-OBJECT-CHANGED";

async function changeOnce(
  context: ResourceContext,
  target: ObjectTarget,
  { body, current }: { body: unknown; current: StoredObject },
  { isDryRun }: WriteOptions,
): Promise<Written> {
  const metadata = metadataOf(body);
  const { uid, resourceVersion, deletionTimestamp, deletionGracePeriodSeconds } = current.metadata;
  const base = { uid: metadata.uid || uid, resourceVersion: metadata.resourceVersion || resourceVersion };
  const ending = deletionTimestamp === undefined ? {} : { deletionTimestamp, deletionGracePeriodSeconds };
  const { status, ...rest } = body as Record<string, unknown>;
  const asked = target.isStatus
    ? { ...current, status, metadata: { ...current.metadata, ...base } }
    : { ...rest, metadata: { ...writable({ ...metadata, name: metadata.name ?? current.metadata.name }), ...ending, ...base } };
  const { object, warnings } = check(asked, target);
  const kind = target.kind as Kind;
  const admitted = target.isStatus ? object : context.admit({ kind, object, current, isDryRun });
  const isGone = deletionTimestamp !== undefined && finalizersOf(admitted).length === 0;
  const write: Write = isGone
    ? { verb: "delete", ...keyOf(target, current), ...(base as Preconditions) }
    : { verb: target.isStatus ? "status" : "update", resource: resourceOf(kind), object: admitted as Draft };
  const store = context.stores.storeFor(resourceOf(kind));
  return { object: isDryRun ? imagined(current, write) : await store.write(write), warnings };
}

/** Deletes an object, or, while it has finalizers, marks it as to be deleted. Answers what it was last, and whether it is gone. */
export async function deleteObject(
  context: ResourceContext,
  target: ObjectTarget,
  preconditions: Preconditions,
  { isDryRun }: WriteOptions,
): Promise<{ object: StoredObject; isGone: boolean }> {
  const kind = target.kind as Kind;
  const store = context.stores.storeFor(resourceOf(kind));
  for (let attempt = 1; ; attempt += 1) {
    const current = await getObject(context, target);
    const { uid = current.metadata.uid, resourceVersion = current.metadata.resourceVersion } = preconditions;
    const isGone = finalizersOf(current).length === 0;
    const ending = { deletionTimestamp: `${new Date().toISOString().slice(0, 19)}Z`, deletionGracePeriodSeconds: 0 };
    const marked = { ...current, metadata: { ...ending, ...current.metadata, uid, resourceVersion } };
    const write: Write = isGone
      ? { verb: "delete", ...keyOf(target, current), uid, resourceVersion }
      : { verb: "update", resource: resourceOf(kind), object: marked };
    try {
      return { object: isDryRun ? imagined(current, write) : await store.write(write), isGone };
    } catch (error) {
      const isOutdated = uid !== current.metadata.uid || resourceVersion !== current.metadata.resourceVersion;
      if (isOutdated || attempt === maxAttempts || !isChanged(error)) throw error;
    }
  }
}

/** What a write would make, were it made. */
function imagined(current: StoredObject | undefined, write: Write): StoredObject {
  const now = `${new Date().toISOString().slice(0, 19)}Z`;
  return apply(current, write, { revision: current?.metadata.resourceVersion ?? "", now, uid: randomUUID });
}

/** The object of a body, its defaults filled in. Throws if it is none of the target's, or not valid. */
function check(value: Record<string, unknown>, target: ObjectTarget): { object: Resource; warnings: readonly Fault[] } {
  const { kind, namespace = "", name } = target;
  const metadata = metadataOf(value);
  const said = { apiVersion: value.apiVersion ?? kind.apiVersion, kind: value.kind ?? kind.kind };
  if (said.apiVersion !== kind.apiVersion || said.kind !== kind.kind)
    throw badRequest(`The body is a ${said.kind} of ${said.apiVersion}, and this path is for ${kind.kind} of ${kind.apiVersion}.`);
  if (name !== undefined && metadata.name !== name)
    throw badRequest(
      `The body's metadata.name is ${JSON.stringify(metadata.name)}, and the path says ${JSON.stringify(name)}.`,
      "An object keeps its name: make another one.",
    );
  if (metadata.namespace !== undefined && metadata.namespace !== namespace)
    throw badRequest(
      `The body's metadata.namespace is ${JSON.stringify(metadata.namespace)}, and the path says ${JSON.stringify(namespace)}.`,
    );
  const checked: Checked = checkObject({ ...value, ...said, metadata: { ...metadata, ...(kind.namespaced ? { namespace } : {}) } });
  if (checked.object !== undefined) return { object: checked.object, warnings: checked.warnings };
  throw new InvalidObject(`${kind.kind} ${JSON.stringify(metadata.name ?? "")}`, checked.faults);
}

type LooseMetadata = { [field: string]: unknown };

/** Metadata of a body, of which nothing is known. Throws WEFT-C-BODY-INVALID if it is no object. */
function metadataOf(body: unknown): LooseMetadata {
  if (!isMapping(body)) throw badRequest("The body is no object.");
  const { metadata = {} } = body;
  if (!isMapping(metadata)) throw badRequest("metadata is no mapping.");
  return metadata;
}

/** Metadata without what the server alone says. */
function writable(metadata: LooseMetadata): LooseMetadata {
  const {
    uid: _uid,
    resourceVersion: _version,
    generation: _generation,
    creationTimestamp: _created,
    deletionTimestamp: _deleted,
    deletionGracePeriodSeconds: _grace,
    managedFields: _fields,
    selfLink: _link,
    ...others
  } = metadata;
  return others;
}

const finalizersOf = ({ metadata }: Pick<StoredObject, "metadata"> | Resource): readonly unknown[] =>
  ((metadata as LooseMetadata).finalizers as unknown[] | undefined) ?? [];

const keyOf = ({ kind }: ObjectTarget, { metadata }: StoredObject) => ({
  resource: resourceOf(kind),
  namespace: metadata.namespace ?? "",
  name: metadata.name,
});

// Letters and digits that make no words and are not mistaken for each other.
const letters = "bcdfghjklmnpqrstvwxz2456789";

const generatedName = (start: string) => start.slice(0, 58) + Array.from({ length: 5 }, () => letters[randomInt(letters.length)]).join("");

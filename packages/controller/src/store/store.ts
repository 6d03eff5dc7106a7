/** An object as the store gives it out: deeply frozen JSON of Kubernetes' shape, shared by all who read it. */
export interface StoredObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: Metadata;
  readonly status?: unknown;
  readonly [field: string]: unknown;
}

/** Metadata of a stored object. The store's own are `uid`, `resourceVersion`, `generation` and `creationTimestamp`; the rest is as it was written. */
export interface Metadata {
  readonly name: string;
  /** Absent on an object that belongs to no namespace. */
  readonly namespace?: string;
  /** Tells an object from an earlier or later one of the same name. */
  readonly uid: string;
  /** Revision of the last change of the object; of its deletion, in the event that tells of it. */
  readonly resourceVersion: string;
  /** 1 at first; one more with each change outside metadata and status. */
  readonly generation: number;
  /** RFC 3339, in whole seconds. */
  readonly creationTimestamp: string;
  readonly [field: string]: unknown;
}

/** An object as it is written. What is the store's own in it is left aside, but for what a write compares. */
export interface Draft {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly uid?: string;
    readonly resourceVersion?: string;
    readonly [field: string]: unknown;
  };
  readonly [field: string]: unknown;
}

/** Where an object is. No part contains a slash. */
export interface Key {
  /** Plural and group, as Kubernetes names a resource: `services`, `trafficpolicies.weft.dev`. */
  readonly resource: string;
  /** Empty when it belongs to none. */
  readonly namespace: string;
  readonly name: string;
}

/**
 * A change of one object.
 * - `create` makes it, without a status.
 * - `update` replaces all but the status, if `metadata.resourceVersion` and, where given, `metadata.uid` are still the object's.
 * - `status` replaces the status and nothing else, on the same condition.
 * - `delete` deletes it, if `uid` and `resourceVersion`, where given, are still the object's.
 */
export type Write =
  | { readonly verb: "create" | "update" | "status"; readonly resource: string; readonly object: Draft }
  | ({ readonly verb: "delete"; readonly uid?: string; readonly resourceVersion?: string } & Key);

/** All objects of a resource at a revision. */
export interface Listed {
  /** In no particular order. */
  readonly items: readonly StoredObject[];
  /** A watch of the same resource goes on from here. */
  readonly revision: string;
}

/** What happened to an object: what it is now, or what it was last, with the revision of its deletion. */
export interface Change {
  readonly type: "put" | "delete";
  readonly object: StoredObject;
}

/**
 * What a watch tells.
 * - `changes`: everything of one revision that the watch is about: the changes of a transaction come together.
 * - `bookmark`: nothing of interest up to this revision; a later watch goes on from it.
 * - `expired`: what happened since is not known any more, so the caller has to list again. It is the last event.
 */
export type WatchEvent =
  | { readonly type: "changes"; readonly revision: string; readonly changes: readonly Change[] }
  | { readonly type: "bookmark"; readonly revision: string }
  | { readonly type: "expired" };

/** What to watch. */
export interface WatchOptions {
  /** Revision of a list or an event; the watch tells what came after it. */
  readonly from: string;
  /** All namespaces without it. */
  readonly namespace?: string | undefined;
  /** Ends the watch. */
  readonly signal: AbortSignal;
}

/** Something that one holder at a time has, for as long as it renews it. */
export interface Lease {
  /** Whether it is still had. Decided by the holder's own monotonic clock, counted from before it asked, so that it ends here before another can have it. */
  readonly held: boolean;
  /** Starts its time anew. False when it was lost, and then for ever. */
  renew(): Promise<boolean>;
  /** Gives it up, so that another can have it at once. */
  release(): Promise<void>;
}

/** What keeps changes from being written. */
export interface Trouble {
  readonly message: string;
  /** Milliseconds since 1970. */
  readonly since: number;
}

/**
 * Where the objects of the control plane are: `contract/SPEC.md` says what every store does, and `contract/contract.ts` holds it to that. Reads and
 * watches tell only what will not be lost any more.
 *
 * Writes fail with `WEFT-C-OBJECT-EXISTS`, `-UNKNOWN`, `-CHANGED` or `-UNFIT`; with `WEFT-C-STORE-UNWRITABLE` or `-BUSY` when they could not be made and
 * were not, and with `WEFT-C-STORE-UNSURE` when nobody knows.
 */
export interface Store {
  /** The object, if there is one. */
  get(key: Key): Promise<StoredObject | undefined>;
  /** All objects of a resource, in one namespace or in all. */
  list(resource: string, namespace?: string): Promise<Listed>;
  /**
   * What happens to objects of a resource. Nothing is promised of the order between two resources. Whoever does not read holds up nobody and costs
   * next to nothing: the watch expires. A watch that throws was lost, and another one from the last revision goes on.
   */
  watch(resource: string, options: WatchOptions): AsyncIterable<WatchEvent>;
  /** Makes one change, and answers the object as it is now; for a deletion, as it was last. */
  write(write: Write): Promise<StoredObject>;
  /** How many writes a transaction can have; 1 where there are none. */
  readonly maxTransaction: number;
  /** Makes all changes, or none. Each is of another object. Fails as the first write that cannot be made. */
  transaction(writes: readonly Write[]): Promise<StoredObject[]>;
  /** Takes the lease of that name for a time, in milliseconds; undefined when it is taken. */
  acquire(lease: string, ttlMs: number): Promise<Lease | undefined>;
  /** Why changes cannot be written at the moment. */
  readonly trouble: Trouble | undefined;
  /** Ends watches, waits for writes that have begun, and lets go of everything. */
  close(): Promise<void>;
}

/** Orders revisions of one store: negative when `a` is older. They are decimal numbers of any length, as Kubernetes' are. */
export function compareRevisions(a: string, b: string): number {
  if (a.length !== b.length) return a.length - b.length;
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Where the object of a write is. */
export function keyOf(write: Write): Key {
  if (write.verb === "delete") return write;
  const { namespace = "", name } = write.object.metadata;
  return { resource: write.resource, namespace, name };
}

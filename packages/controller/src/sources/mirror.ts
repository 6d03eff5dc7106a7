import { setTimeout as delay } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import type { Draft, Key, Store, StoredObject } from "../store/store.ts";

const retryMs = 1_000;

export interface MirrorOptions {
  store: Store;
  resource: string;
  /** Objects that may be changed and deleted; others are left as they are. */
  isOwn(object: StoredObject): boolean;
  onError(error: unknown): void;
  signal: AbortSignal;
}

/** Keeps objects of a store as they should be, one after the other, and tries again while they cannot be written. */
export class Mirror {
  readonly #options: MirrorOptions;
  readonly #wanted = new Map<string, Draft>();
  readonly #due = new Map<string, Key>();
  #working: Promise<void> | undefined;

  constructor(options: MirrorOptions) {
    this.#options = options;
  }

  /** What an object should be from now on; undefined when there should be none. */
  set(name: Omit<Key, "resource">, draft: Draft | undefined): void {
    const id = idOf(name);
    if (draft === undefined) this.#wanted.delete(id);
    else this.#wanted.set(id, draft);
    this.#ask(id, name);
  }

  /** Somebody deleted an object: one that should be there is made again. */
  check(name: Omit<Key, "resource">): void {
    const id = idOf(name);
    if (this.#wanted.has(id)) this.#ask(id, name);
  }

  #ask(id: string, { namespace, name }: Omit<Key, "resource">): void {
    this.#due.set(id, { resource: this.#options.resource, namespace, name });
    this.#working ??= this.#work();
  }

  /** Deletes what an earlier controller left and nobody wants any more. */
  async sweep(): Promise<void> {
    const { store, resource, isOwn } = this.#options;
    const { items } = await store.list(resource);
    for (const { metadata } of items.filter(isOwn)) {
      const { namespace = "", name } = metadata;
      if (!this.#wanted.has(idOf({ namespace, name }))) this.set({ namespace, name }, undefined);
    }
  }

  async #work(): Promise<void> {
    const { signal, onError } = this.#options;
    for (const [id, key] of this.#due) {
      if (signal.aborted) break;
      this.#due.delete(id);
      try {
        await this.#settle(id, key);
      } catch (error) {
        if (signal.aborted) break;
        onError(error);
        this.#due.set(id, key);
        await delay(retryMs, undefined, { ref: false });
      }
    }
    this.#working = undefined;
  }

  async #settle(id: string, key: Key): Promise<void> {
    const { store, resource, isOwn } = this.#options;
    const draft = this.#wanted.get(id);
    let current = await store.get(key);
    if (current !== undefined && !isOwn(current)) return;
    if (draft === undefined) {
      if (current !== undefined) await store.write({ verb: "delete", ...key, uid: current.metadata.uid });
      return;
    }
    if (current === undefined) current = await store.write({ verb: "create", resource, object: draft });
    const { uid, resourceVersion } = current.metadata;
    const based = (object: Draft): Draft => ({ ...object, metadata: { ...object.metadata, uid, resourceVersion } });
    if (!isDeepStrictEqual(contentOf(current), contentOf(draft))) {
      current = await store.write({ verb: "update", resource, object: based(draft) });
    }
    if (draft.status === undefined || isDeepStrictEqual(current.status, draft.status)) return;
    const metadata = { ...draft.metadata, uid, resourceVersion: current.metadata.resourceVersion };
    await store.write({ verb: "status", resource, object: { ...draft, metadata } });
  }
}

const idOf = ({ namespace, name }: Omit<Key, "resource">) => `${namespace}/${name}`;

/** What an object says, apart from what the store and its readers add. */
function contentOf({ metadata, status, ...content }: StoredObject | Draft): unknown {
  return { ...content, labels: metadata.labels ?? {} };
}

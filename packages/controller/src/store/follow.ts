import { setTimeout as delay } from "node:timers/promises";
import type { Change, Store, StoredObject } from "./store.ts";

/** What becomes known of a resource: everything, which replaces all that was known before; or what changed. */
export type Followed =
  | { readonly type: "listed"; readonly items: readonly StoredObject[]; readonly revision: string }
  | { readonly type: "changes"; readonly changes: readonly Change[]; readonly revision: string };

export interface FollowOptions {
  namespace?: string;
  signal: AbortSignal;
  /** Hears why the store was not reached; it is tried again. */
  onError(error: unknown): void;
  /** Waits before the nth attempt in a row, from 1; up to 5 s unless told. */
  pause?(attempt: number): Promise<void>;
}

/** Lists a resource and goes on with what changes, for ever: a lost watch goes on where it was, an expired one begins anew. */
export async function* follow(store: Store, resource: string, options: FollowOptions): AsyncGenerator<Followed, void, undefined> {
  const {
    namespace,
    signal,
    onError,
    pause = (attempt) => delay(Math.min(100 * 2 ** (attempt - 1), 5_000), undefined, { ref: false }),
  } = options;
  let from: string | undefined;
  for (let failures = 0; !signal.aborted; ) {
    try {
      if (from === undefined) {
        const { items, revision } = await store.list(resource, namespace);
        yield { type: "listed", items, revision };
        from = revision;
      }
      for await (const event of store.watch(resource, { from, namespace, signal })) {
        failures = 0;
        from = event.type === "expired" ? undefined : event.revision;
        if (event.type === "changes") yield event;
      }
      // It ended: it expired, or the store is closed.
      if (from !== undefined) return;
    } catch (error) {
      onError(error);
      failures += 1;
      await pause(failures);
    }
  }
}

import { setTimeout as delay } from "node:timers/promises";
import { WeftError } from "@weft/api/light";
import type { ApiKind, ApiObject } from "./objects.ts";
import { isExpired } from "./refusal.ts";
import type { ResourceClient, Selection } from "./resources.ts";

/**
 * What happens to the objects that are followed.
 * - `put`: an object is there, or was changed; `before` is what it was when it was last told of.
 * - `delete`: it is gone; the object as it was last.
 * - `listed`: everything that was there at first has been told of. Comes once.
 */
export type Followed =
  | { type: "put"; object: ApiObject; before: ApiObject | undefined }
  | { type: "delete"; object: ApiObject }
  | { type: "listed" };

/** How objects are followed. */
export interface FollowOptions extends Selection {
  /** Ends it. */
  signal: AbortSignal;
  /** Called when the connection is lost, once until it is back. */
  onLost?: (error: WeftError) => void;
}

const firstDelayMs = 100;
const longestDelayMs = 5000;

/**
 * Tells of all objects of a kind that are there, then of each change, without end. A lost connection is made anew, and nothing is missed: when the
 * server does not know any more what happened meanwhile, the objects are listed again and compared. Fails only when they cannot be listed at first.
 */
export async function* follow(client: ResourceClient, kind: ApiKind, options: FollowOptions): AsyncGenerator<Followed> {
  const { signal, onLost } = options;
  const known = new Map<string, ApiObject>();
  let revision: string | undefined;
  let isListed = false;
  let delayMs = firstDelayMs;
  let isLost = false;
  while (!signal.aborted) {
    try {
      if (revision === undefined) {
        const list = await client.list(kind, options);
        yield* differences(known, list.items);
        revision = list.revision;
        if (!isListed) yield { type: "listed" };
        isListed = true;
      }
      for await (const event of client.watch(kind, options, revision, signal)) {
        [delayMs, isLost] = [firstDelayMs, false];
        if (event.type === "ERROR") throw event.refusal;
        revision = event.object.metadata.resourceVersion;
        if (event.type === "BOOKMARK") continue;
        const { object } = event;
        const before = known.get(keyOf(object));
        if (event.type === "DELETED") {
          known.delete(keyOf(object));
          yield { type: "delete", object };
        } else {
          known.set(keyOf(object), object);
          yield { type: "put", object, before };
        }
      }
      [delayMs, isLost] = [firstDelayMs, false];
    } catch (error) {
      if (signal.aborted) return;
      if (!isListed || !(error instanceof WeftError)) throw error;
      if (isExpired(error)) revision = undefined;
      else if (!isLost) onLost?.(error);
      isLost = !isExpired(error);
    }
    await delay(delayMs * (0.5 + Math.random()), undefined, { signal }).catch(() => undefined);
    delayMs = Math.min(2 * delayMs, longestDelayMs);
  }
}

/** What has to be told when `items` are there now, and what was told before is `known`; which is brought up to date. */
function* differences(known: Map<string, ApiObject>, items: readonly ApiObject[]): Generator<Followed> {
  const now = new Map(items.map((item) => [keyOf(item), item]));
  for (const [key, object] of known) {
    if (now.get(key)?.metadata.uid === object.metadata.uid) continue;
    known.delete(key);
    yield { type: "delete", object };
  }
  for (const [key, object] of now) {
    const before = known.get(key);
    if (before?.metadata.resourceVersion === object.metadata.resourceVersion) continue;
    known.set(key, object);
    yield { type: "put", object, before };
  }
}

const keyOf = ({ metadata: { namespace = "", name } }: ApiObject) => `${namespace}/${name}`;

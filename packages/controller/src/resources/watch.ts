import { once } from "node:events";
import type { ServerResponse } from "node:http";
import { weftError } from "@weft/api";
import { compareRevisions, type StoredObject } from "../store/store.ts";
import type { ResourceContext } from "./context.ts";
import { resourceOf } from "./namespaces.ts";
import { selectorOf } from "./selectors.ts";
import { failure } from "./status.ts";
import type { ObjectTarget } from "./target.ts";

/** What a watch tells, as Kubernetes has it. */
export interface WatchEvent {
  type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK" | "ERROR";
  object: object;
}

/** How a watch goes on and ends. */
export interface WatchLimits {
  /** Most watches at a time. */
  watches: number;
  /** How long a reader may take to read what was sent, milliseconds. */
  unreadMs: number;
}

/** Longest time of a watch, seconds: readers begin another one where it ended. */
const maxSeconds = 3_600;

/** All watches that are open. */
export class Watches {
  readonly #limits: WatchLimits;
  readonly #open = new Set<AbortController>();

  // A server takes 256 connections.
  constructor(limits: Partial<WatchLimits> = {}) {
    this.#limits = { watches: 192, unreadMs: 30_000, ...limits };
  }

  /** Answers a watch until it ends; `show` makes of an object what is sent of it. */
  async serve(
    context: ResourceContext,
    target: ObjectTarget,
    query: URLSearchParams,
    { response, show, type }: { response: ServerResponse; show: (object: StoredObject) => object; type: string },
  ): Promise<void> {
    const { watches, unreadMs } = this.#limits;
    if (this.#open.size >= watches) throw weftError("WEFT-C-TOO-MANY", `${watches} watches are open, and no more are allowed.`);
    const timeout = secondsOf(query.get("timeoutSeconds"));
    const events = await eventsOf(context, target, query);
    const ending = new AbortController();
    this.#open.add(ending);
    const timer = setTimeout(() => ending.abort(), timeout * 1000).unref();
    response.once("close", () => ending.abort());
    try {
      response.writeHead(200, { "content-type": type, "cache-control": "no-store" });
      response.flushHeaders();
      for await (const event of events(ending.signal)) {
        const object =
          "metadata" in event.object && event.type !== "BOOKMARK" && event.type !== "ERROR"
            ? show(event.object as StoredObject)
            : event.object;
        if (response.write(`${JSON.stringify({ type: event.type, object })}\n`)) continue;
        // The store is not asked for more before this was read, so that a slow reader costs what is in its connection.
        const patience = AbortSignal.any([ending.signal, AbortSignal.timeout(unreadMs)]);
        await once(response, "drain", { signal: patience }).catch(() => response.destroy());
        if (response.destroyed) break;
      }
      response.end();
    } finally {
      clearTimeout(timer);
      this.#open.delete(ending);
    }
  }

  /** Ends all. */
  close(): void {
    for (const ending of this.#open) ending.abort();
  }
}

function secondsOf(text: string | null): number {
  if (text === null || text === "" || text === "0") return maxSeconds;
  if (!/^\d{1,9}$/.test(text))
    throw weftError("WEFT-C-QUERY-INVALID", `timeoutSeconds is ${JSON.stringify(text.slice(0, 20))}, and a whole number is needed.`);
  return Math.min(Number(text), maxSeconds);
}

/** What happens to the objects of a target, from a revision on; from what there is on without one. */
async function eventsOf(
  { stores }: ResourceContext,
  { kind, namespace, name }: ObjectTarget,
  query: URLSearchParams,
): Promise<(signal: AbortSignal) => AsyncGenerator<WatchEvent>> {
  const isSelected = selectorOf(query);
  const matches = (object: StoredObject) => (name === undefined || object.metadata.name === name) && isSelected(object);
  const resource = resourceOf(kind);
  const within = kind.namespaced ? namespace : undefined;
  const store = stores.storeFor(resource);
  const listed = await store.list(resource, within);
  const asked = query.get("resourceVersion") ?? "";
  const wantsInitial =
    query.get("sendInitialEvents") === "true" || ((asked === "" || asked === "0") && query.get("sendInitialEvents") !== "false");
  if (!/^\d{0,20}$/.test(asked))
    throw weftError("WEFT-C-QUERY-INVALID", `resourceVersion ${JSON.stringify(asked.slice(0, 50))} is none of this server.`);
  const from = wantsInitial || asked === "" || asked === "0" ? listed.revision : asked;
  const wantsBookmarks = query.get("allowWatchBookmarks") === "true";
  const bookmark = (revision: string, annotations?: object): WatchEvent => ({
    type: "BOOKMARK",
    object: { apiVersion: kind.apiVersion, kind: kind.kind, metadata: { resourceVersion: revision, ...(annotations && { annotations }) } },
  });

  return async function* (signal) {
    // Objects of which the reader knows, and those that changed since, of which nobody can tell.
    const isOld = ({ metadata }: StoredObject) => compareRevisions(metadata.resourceVersion, from) <= 0;
    const known = new Set(listed.items.filter((object) => isOld(object) && matches(object)).map(({ metadata }) => metadata.uid));
    const unsure = new Set(listed.items.filter((object) => !isOld(object)).map(({ metadata }) => metadata.uid));
    if (wantsInitial) {
      for (const object of listed.items.filter(matches)) yield { type: "ADDED", object };
      if (query.get("sendInitialEvents") === "true" && wantsBookmarks) yield bookmark(from, { "k8s.io/initial-events-end": "true" });
    }
    for await (const event of store.watch(resource, { from, namespace: within, signal })) {
      if (event.type === "bookmark") {
        if (wantsBookmarks) yield bookmark(event.revision);
      } else if (event.type === "expired") {
        yield {
          type: "ERROR",
          object: failure(weftError("WEFT-C-WATCH-EXPIRED", `What happened since revision ${from} is not known any more.`)),
        };
      } else {
        for (const { type, object } of event.changes) {
          const { uid } = object.metadata;
          const wasKnown = known.delete(uid);
          const mayBeKnown = unsure.delete(uid) || wasKnown;
          if (type === "put" && matches(object)) {
            known.add(uid);
            yield { type: wasKnown ? "MODIFIED" : "ADDED", object };
          } else if (mayBeKnown || (type === "delete" && matches(object))) yield { type: "DELETED", object };
        }
      }
    }
  };
}

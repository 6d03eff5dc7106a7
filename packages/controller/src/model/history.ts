import { isDeepStrictEqual } from "node:util";
import type { Endpoint } from "@weft/api";
import type { ServiceView } from "./view.ts";

/** At most this many removed endpoints of a service are remembered; who is further behind gets the whole set. */
export const maxTombstones = 1000;

/** A service with what is needed to tell anyone what changed since a revision. Immutable. */
export interface ServiceHistory {
  view: ServiceView;
  /** Revision of the last change. */
  revision: number;
  /** Revision at which each endpoint was last changed, by id. */
  changed: ReadonlyMap<string, number>;
  /** Removed endpoints, oldest first. */
  tombstones: readonly { id: string; revision: number }[];
  /** Differences can be told from this revision on. */
  horizon: number;
}

/** What changed since a revision. */
export interface Difference {
  /** True when `added` is the whole set. */
  full: boolean;
  added: Endpoint[];
  removed: string[];
}

/** The history after a service took on `view` at `revision`; the same object when nothing changed. */
export function advance(history: ServiceHistory | undefined, view: ServiceView, revision: number): ServiceHistory {
  if (history === undefined) {
    const changed = new Map(view.endpoints.map(({ id }) => [id, revision]));
    return { view, revision, changed, tombstones: [], horizon: revision };
  }
  if (isDeepStrictEqual(history.view, view)) return history;
  const before = new Map(history.view.endpoints.map((endpoint) => [endpoint.id, endpoint]));
  const changed = new Map<string, number>();
  for (const endpoint of view.endpoints) {
    const same = isDeepStrictEqual(before.get(endpoint.id), endpoint);
    changed.set(endpoint.id, same ? (history.changed.get(endpoint.id) as number) : revision);
    before.delete(endpoint.id);
  }
  const all = [...history.tombstones, ...[...before.keys()].map((id) => ({ id, revision }))];
  const dropped = all.slice(0, Math.max(0, all.length - maxTombstones));
  return {
    view,
    revision,
    changed,
    tombstones: all.slice(dropped.length),
    horizon: dropped.at(-1)?.revision ?? history.horizon,
  };
}

/** What changed since `revision`, as one who holds that revision must hear it. */
export function differenceSince(history: ServiceHistory, revision: number): Difference {
  const { view, changed, tombstones, horizon } = history;
  if (revision < horizon || revision > history.revision) return { full: true, added: view.endpoints, removed: [] };
  const removed = new Set(tombstones.filter((gone) => gone.revision > revision && !changed.has(gone.id)).map(({ id }) => id));
  return {
    full: false,
    added: view.endpoints.filter(({ id }) => (changed.get(id) as number) > revision),
    removed: [...removed],
  };
}

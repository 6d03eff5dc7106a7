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
  /** Revisions at which each endpoint came and was last changed, by id. */
  ages: ReadonlyMap<string, Age>;
  /** Removed endpoints, oldest first: when they came and went. */
  tombstones: readonly { id: string; born: number; gone: number }[];
  /** Differences can be told from this revision on. */
  horizon: number;
}

interface Age {
  born: number;
  changed: number;
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
    const ages = new Map(view.endpoints.map(({ id }) => [id, { born: revision, changed: revision }]));
    return { view, revision, ages, tombstones: [], horizon: revision };
  }
  if (isDeepStrictEqual(history.view, view)) return history;
  const before = new Map(history.view.endpoints.map((endpoint) => [endpoint.id, endpoint]));
  const ages = new Map<string, Age>();
  for (const endpoint of view.endpoints) {
    const { born, changed } = history.ages.get(endpoint.id) ?? { born: revision, changed: revision };
    ages.set(endpoint.id, { born, changed: isDeepStrictEqual(before.get(endpoint.id), endpoint) ? changed : revision });
    before.delete(endpoint.id);
  }
  const gone = [...before.keys()].map((id) => ({ id, born: (history.ages.get(id) as Age).born, gone: revision }));
  const all = [...history.tombstones, ...gone];
  const dropped = all.slice(0, Math.max(0, all.length - maxTombstones));
  return {
    view,
    revision,
    ages,
    tombstones: all.slice(dropped.length),
    horizon: dropped.at(-1)?.gone ?? history.horizon,
  };
}

/** What changed since `revision`, as one who holds that revision must hear it. */
export function differenceSince(history: ServiceHistory, revision: number): Difference {
  const { view, ages, tombstones, horizon } = history;
  if (revision < horizon || revision > history.revision) return { full: true, added: view.endpoints, removed: [] };
  const removed = tombstones.filter(({ id, born, gone }) => born <= revision && gone > revision && !ages.has(id)).map(({ id }) => id);
  return {
    full: false,
    added: view.endpoints.filter(({ id }) => (ages.get(id) as Age).changed > revision),
    removed,
  };
}

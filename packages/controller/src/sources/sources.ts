import type { Flow } from "../flow.ts";
import { resources } from "../graph/lists.ts";
import type { Mesh } from "../mesh.ts";
import type { Stores } from "../store/stores.ts";
import { isManaged } from "./managed.ts";
import { Mirror } from "./mirror.ts";
import { Overlay } from "./overlay.ts";
import { RunningSource } from "./running.ts";
import { followWritten } from "./store.ts";

/** What feeds the flow. */
export interface Sources {
  mesh: Mesh;
  stores: Stores;
  flow: Flow;
  /** Hears what could not be read or written; it is tried again. */
  onError(error: unknown): void;
}

/**
 * Feeds the flow with what people write and with what runs, and mirrors what runs to the stores, where people read it. Resolves when all that there is
 * was taken in. Answers how to stop.
 */
export async function startSources({ mesh, stores, flow, onError }: Sources): Promise<() => void> {
  const aborted = new AbortController();
  const { signal } = aborted;
  const overlays = new Map<string, Overlay>(
    [resources.workloads, resources.services, resources.endpointSlices].map((each) => [each, new Overlay(each)]),
  );
  const mirrorOf = (resource: string) =>
    new Mirror({
      store: stores.storeFor(resource),
      resource,
      isOwn: resource === resources.workloads ? () => true : isManaged,
      onError,
      signal,
    });
  const mirrors = new Map<string, Mirror>([resources.workloads, resources.services].map((each) => [each, mirrorOf(each)]));
  new RunningSource(mesh, ({ resource, place, object }) => {
    flow.apply(overlays.get(resource)?.run(place, object) ?? []);
    const slash = place.indexOf("/");
    mirrors.get(resource)?.set({ namespace: place.slice(0, slash), name: place.slice(slash + 1) }, object && draftOf(object));
  });
  await followWritten({
    store: stores.storeFor(resources.services),
    overlays,
    addresses: mesh,
    apply: (events) => flow.apply(events),
    later: (events) => flow.later(events),
    gone: (resource, name) => mirrors.get(resource)?.check(name),
    onError,
    signal,
  });
  await mirrors.get(resources.services)?.sweep();
  return () => aborted.abort();
}

function draftOf({
  metadata: { uid, resourceVersion, generation, creationTimestamp, ...metadata },
  ...object
}: Parameters<typeof isManaged>[0]) {
  return { ...object, metadata };
}

import type { Service } from "@weft/api/kinds";
import type { SourceEvent } from "../graph/events.ts";
import { addressesOf, resources } from "../graph/lists.ts";
import { canonicalName } from "../graph/names.ts";
import { placeOf } from "../graph/snapshot.ts";
import { type Followed, follow } from "../store/follow.ts";
import type { Store, StoredObject } from "../store/store.ts";
import { isManaged } from "./managed.ts";
import type { Overlay } from "./overlay.ts";

/** Resources that people write and views read. */
export const writtenResources = [
  resources.services,
  resources.endpointSlices,
  resources.httpRoutes,
  resources.grpcRoutes,
  resources.referenceGrants,
] as const;

/** What written objects are followed with. */
export interface Following {
  store: Store;
  /** Where what runs has objects of the same resource. */
  overlays: ReadonlyMap<string, Overlay>;
  /** Virtual addresses of Services that people write. */
  addresses: {
    allocateAddress(name: { namespace: string; name: string }): string;
    keepAddress(name: { namespace: string; name: string }, address: string): void;
    setWritten(key: string, isWritten: boolean): void;
  };
  /** Takes events in at once. */
  apply(events: readonly SourceEvent[]): void;
  /** Takes events in with others of this turn of the event loop. */
  later(events: readonly SourceEvent[]): void;
  /** An object went: if it stood in for one that follows from what runs, that one should be there now. */
  gone(resource: string, name: { namespace: string; name: string }): void;
  onError(error: unknown): void;
  signal: AbortSignal;
}

/** Follows what people write. Resolves when all that there was is taken in. */
export async function followWritten(following: Following): Promise<void> {
  await Promise.all(writtenResources.map((resource) => followResource(resource, following)));
}

function followResource(resource: string, following: Following): Promise<void> {
  const { store, signal, onError, apply, later } = following;
  const { promise, resolve } = Promise.withResolvers<void>();
  const written = new WrittenObjects(resource, following);
  const run = async () => {
    for await (const followed of follow(store, resource, { signal, onError })) {
      if (followed.type === "listed") {
        apply(written.take(followed));
        resolve();
      } else later(written.take(followed));
    }
  };
  run().catch(onError);
  return promise;
}

/** Makes events of what becomes known of a resource. What the controller itself keeps in the store only mirrors what runs, and is left out. */
class WrittenObjects {
  readonly #resource: string;
  readonly #overlay: Overlay | undefined;
  readonly #addresses: Following["addresses"];
  readonly #gone: Following["gone"];
  readonly #onError: (error: unknown) => void;
  #services = new Set<string>();

  constructor(resource: string, { overlays, addresses, gone, onError }: Following) {
    this.#resource = resource;
    this.#overlay = overlays.get(resource);
    this.#addresses = addresses;
    this.#gone = gone;
    this.#onError = onError;
  }

  take(followed: Followed): SourceEvent[] {
    if (followed.type === "listed") {
      const objects = followed.items.filter((object) => !isManaged(object)).map((object) => this.#completed(object));
      if (this.#resource === resources.services) this.#name(new Set(objects.map(nameOf)));
      return this.#overlay?.listed(objects) ?? [{ type: "relisted", resource: this.#resource, objects }];
    }
    return followed.changes.flatMap(({ type, object }) => {
      const present = type === "put" && !isManaged(object) ? this.#completed(object) : undefined;
      const { namespace = "", name } = object.metadata;
      if (type === "delete") this.#gone(this.#resource, { namespace, name });
      if (this.#resource === resources.services) this.#nameOne(nameOf(object), present !== undefined);
      if (this.#overlay !== undefined) return this.#overlay.write(placeOf(object.metadata), present);
      return [{ type: present === undefined ? "delete" : "put", resource: this.#resource, object: present ?? object }];
    });
  }

  #name(names: Set<string>): void {
    for (const name of this.#services) if (!names.has(name)) this.#nameOne(name, false);
    for (const name of names) this.#nameOne(name, true);
  }

  #nameOne(name: string, isWritten: boolean): void {
    if (this.#services.has(name) === isWritten) return;
    if (isWritten) this.#services.add(name);
    else this.#services.delete(name);
    this.#addresses.setWritten(name, isWritten);
  }

  /** A Service that was written without an address has that of its name, so that it can be called. */
  #completed(object: StoredObject): StoredObject {
    if (this.#resource !== resources.services) return object;
    const { spec } = object as unknown as Service;
    if (spec.type === "ExternalName" || spec.clusterIP === "None") return object;
    const { name, namespace = "" } = object.metadata;
    const [own] = addressesOf(object);
    if (own !== undefined) {
      this.#addresses.keepAddress({ name, namespace }, own);
      return object;
    }
    try {
      const address = this.#addresses.allocateAddress({ name, namespace });
      return { ...object, spec: { ...spec, clusterIP: address, clusterIPs: [address] } };
    } catch (error) {
      this.#onError(error);
      return object;
    }
  }
}

const nameOf = ({ metadata }: StoredObject) => canonicalName(metadata.namespace ?? "", metadata.name);

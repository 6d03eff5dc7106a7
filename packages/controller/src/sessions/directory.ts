import type { Flow } from "../flow.ts";
import type { ViewChange } from "../graph/graph.ts";
import { addressView } from "../graph/views/address.ts";
import type { Resource } from "../translate/resource.ts";
import { Resources } from "../translate/resources.ts";
import { Closure } from "./closure.ts";

/** How long a service that nobody follows any more is kept ready for who comes back: what it was can be told apart from what it is then. */
const lingerMs = 10_000;

/** Who follows services and addresses. */
export interface Follower {
  /** A resource that one of its services leads to is of another version. */
  resourceChanged(resource: Resource): void;
  /** One of its services leads to other resources than before. */
  closureChanged(closure: Closure): void;
  /** Another service, or none, is behind an address. */
  addressChanged(address: string): void;
  /** All that changed was told: it is time to act. */
  settled(): void;
}

interface Held {
  closure: Closure;
  id: string;
  followers: Set<Follower>;
  reads: readonly string[];
  resources: readonly Resource[];
}

/** What all sidecars follow, each service and address once however many follow it, and who hears of which change. */
export class Directory {
  readonly #flow: Flow;
  readonly #resources: Resources;
  readonly #held = new Map<string, Held>();
  readonly #addresses = new Map<string, Set<Follower>>();
  /** Followed services, by keys of the views that say what they lead to, and by resources. */
  readonly #byRead = new Map<string, Set<Held>>();
  readonly #byResource = new Map<Resource, Set<Held>>();

  constructor(flow: Flow) {
    this.#flow = flow;
    this.#resources = new Resources(flow.graph);
    flow.on("applied", (_, changes) => this.#take(changes));
  }

  /** Follows a service as callers of a namespace see it, until `unfollow`. */
  follow(service: string, namespace: string, follower: Follower): Closure {
    const id = `${service}@${namespace}`;
    const held = this.#held.get(id) ?? this.#open(id, service, namespace);
    held.followers.add(follower);
    return held.closure;
  }

  unfollow({ service }: Closure, namespace: string, follower: Follower): void {
    const id = `${service}@${namespace}`;
    const held = this.#held.get(id);
    if (held === undefined || !held.followers.delete(follower) || held.followers.size > 0) return;
    if (!held.closure.isFound) this.#close(held);
    else setTimeout(() => this.#close(held), lingerMs).unref();
  }

  /** The service behind an address, of whose changes the follower hears until `unfollowAddress`. */
  followAddress(address: string, follower: Follower): string | undefined {
    const followers = this.#addresses.get(address) ?? new Set();
    if (followers.size === 0) this.#flow.graph.want(addressView, address);
    this.#addresses.set(address, followers.add(follower));
    return this.serviceAt(address);
  }

  unfollowAddress(address: string, follower: Follower): void {
    const followers = this.#addresses.get(address);
    if (!followers?.delete(follower) || followers.size > 0) return;
    this.#addresses.delete(address);
    this.#flow.graph.release(addressView, address);
  }

  /** The service behind an address that somebody follows. */
  serviceAt(address: string): string | undefined {
    const { value } = this.#flow.graph.want(addressView, address);
    this.#flow.graph.release(addressView, address);
    return value;
  }

  #open(id: string, service: string, namespace: string): Held {
    const closure = new Closure(this.#flow.graph, this.#resources, service, namespace);
    const held: Held = { closure, id, followers: new Set(), reads: [], resources: [] };
    this.#held.set(id, held);
    this.#link(held);
    return held;
  }

  #close(held: Held): void {
    if (held.followers.size > 0 || this.#held.get(held.id) !== held) return;
    this.#held.delete(held.id);
    this.#unlink(held);
    held.closure.close();
  }

  #take(changes: readonly ViewChange[]): void {
    const touched = new Set<Follower>();
    const tell = (followers: Iterable<Follower>, what: (follower: Follower) => void) => {
      for (const follower of followers) {
        what(follower);
        touched.add(follower);
      }
    };
    const remade = new Set<Held>();
    for (const { view, key, before, after } of changes) {
      if (before.version === after.version) continue;
      for (const held of this.#byRead.get(`view ${view} ${key}`) ?? []) remade.add(held);
      if (view === addressView.name) tell(this.#addresses.get(key) ?? [], (follower) => follower.addressChanged(key));
    }
    for (const resource of this.#resources.take(changes)) {
      for (const { followers } of this.#byResource.get(resource) ?? []) tell(followers, (follower) => follower.resourceChanged(resource));
    }
    for (const held of remade) {
      this.#unlink(held);
      try {
        held.closure.remake();
      } catch (error) {
        // What it led to before holds, and others go on.
        this.#flow.emit("failed", { error });
      }
      this.#link(held);
      tell(held.followers, (follower) => follower.closureChanged(held.closure));
    }
    for (const follower of touched) follower.settled();
  }

  #link(held: Held): void {
    held.reads = held.closure.reads;
    held.resources = held.closure.resources;
    for (const read of held.reads) add(this.#byRead, read, held);
    for (const resource of held.resources) add(this.#byResource, resource, held);
  }

  #unlink(held: Held): void {
    for (const read of held.reads) remove(this.#byRead, read, held);
    for (const resource of held.resources) remove(this.#byResource, resource, held);
  }
}

function add<Key>(index: Map<Key, Set<Held>>, key: Key, held: Held): void {
  const all = index.get(key);
  if (all === undefined) index.set(key, new Set([held]));
  else all.add(held);
}

function remove<Key>(index: Map<Key, Set<Held>>, key: Key, held: Held): void {
  const all = index.get(key);
  if (all?.delete(held) && all.size === 0) index.delete(key);
}

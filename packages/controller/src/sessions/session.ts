import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { weftError } from "@weft/api";
import {
  type DiscoveryWatchRequest,
  DiscoveryWatchResponseSchema,
  type Rejection,
  type ResourceType,
  type ResourceVersion,
  ResourceType as Types,
} from "@weft/api/proto";
import { violation } from "../serve/errors.ts";
import { HelloFirst } from "../serve/session.ts";
import { framed } from "../translate/frame.ts";
import { type Resource, resourceKey } from "../translate/resource.ts";
import { version } from "../version.ts";
import { maxAliasLength, type Target, targetOf } from "./aliases.ts";
import type { Closure } from "./closure.ts";
import type { Directory, Follower } from "./directory.ts";

/** At most this many aliases a sidecar follows. */
export const maxAliases = 10_000;
/** At most this many resources it may say that it holds. */
export const maxHeld = 4 * maxAliases;
/** How long what a sidecar held before it reconnected stays with it unasked, until it has said what it follows, milliseconds. */
const settleMs = 5_000;

/** An update that a sidecar did not take. */
export interface Rejected {
  type: ResourceType;
  /** Canonical name of the resource. */
  name: string;
  version: string;
  /** In the sidecar's words. */
  reason: string;
}

/** What a session works with. */
export interface SessionContext {
  directory: Directory;
  /** The caller's. */
  namespace: string;
  /** Whether workloads behind a service or virtual address run that are not known yet. */
  isExpecting(key: string): boolean;
  /** There may be something to send. */
  wake(): void;
  rejected(rejected: Rejected): void;
  /** Something is in force, or refused, or asked for, or not any more. */
  progress(resource: string): void;
  /** Monotonic clock, milliseconds. */
  now(): number;
}

/** Where a resource stands with a sidecar. */
export type Standing = { inForce: true } | { inForce: false; reason?: string };

interface Entry {
  readonly type: ResourceType;
  readonly name: string;
  /** While something leads to it. */
  resource: Resource | undefined;
  /** How many of the followed services lead to it. */
  leads: number;
  /** Version that the sidecar was sent last, or said that it holds. */
  sent: string | undefined;
  /** Version that the last update was a difference to; empty for a whole one. */
  base: string;
  /** Whether it is held from an earlier stream, and not told anew. */
  isHeld: boolean;
  /** Whether `sent` is in force, as far as the sidecar said. */
  isInForce: boolean;
  /** The version that it did not take, and why. */
  rejected: { version: string; reason: string } | undefined;
}

interface Alias {
  readonly target: Target | undefined;
  service: string | undefined;
  /** What was said last, as text. */
  sent: string | undefined;
}

/**
 * One sidecar's Discovery.Watch, without its stream. All that is held of what was sent is a version a resource: what is to be sent next is worked out when
 * the sidecar can take it, so that a slow one costs nothing and gets all changes in one.
 *
 * Whatever is sent comes after what it refers to: endpoints and services, then routes, then aliases; and what nothing leads to any more is removed last,
 * once all that took its place is in force.
 */
export class Session implements Follower {
  readonly #context: SessionContext;
  readonly #hello = new HelloFirst();
  #isGreeted = false;
  readonly #aliases = new Map<string, Alias>();
  readonly #closures = new Map<string, { closure: Closure; aliases: Set<string>; resources: readonly Resource[] }>();
  readonly #entries = new Map<string, Entry>();
  /** What may have to be sent, in this order. */
  readonly #due = { resources: new Set<string>(), routes: new Set<string>(), aliases: new Set<string>(), removals: new Set<string>() };
  /** What cannot be said yet: keys of resources, and aliases. */
  readonly #blocked = { keys: new Set<string>(), aliases: new Set<string>() };
  /** Keys of updates that the sidecar has said nothing of yet, and of those that it did not take. */
  readonly #unanswered = new Set<string>();
  readonly #refused = new Set<string>();
  /** Services of which the sidecar was told on this stream. */
  readonly #told = new Set<string>();
  #heldCount = 0;
  #settledAt = 0;

  constructor(context: SessionContext) {
    this.#context = context;
  }

  /** Takes a message of the sidecar. */
  receive({ request }: DiscoveryWatchRequest): void {
    this.#hello.check(request.case);
    if (request.case === "held") this.#hold(request.value.resources);
    else if (request.case === "resolve") this.#resolve(request.value.alias);
    else if (request.case === "release") this.#release(request.value.alias);
    else if (request.case === "acknowledgement") for (const each of request.value.resources) this.#acknowledge(each);
    else if (request.case === "rejection") this.#reject(request.value);
    this.#context.wake();
  }

  /** The next message; undefined while there is nothing to say. */
  next(): Buffer | undefined {
    if (!this.#isGreeted) {
      this.#isGreeted = true;
      return message({ case: "hello", value: { version } });
    }
    return this.#nextResource(this.#due.resources) ?? this.#nextResource(this.#due.routes) ?? this.#nextAlias() ?? this.#nextRemoval();
  }

  /** When something may be to be said without that anything happens, on the context's clock; undefined when not. */
  get dueAt(): number | undefined {
    return this.#due.removals.size > 0 && this.#context.now() < this.#settledAt ? this.#settledAt : undefined;
  }

  /** Where a resource stands; undefined when nothing that the sidecar follows leads to it. */
  standing(key: string): Standing | undefined {
    const entry = this.#entries.get(key);
    const wanted = entry?.resource?.version;
    if (entry === undefined || wanted === undefined) return undefined;
    if (entry.sent === wanted && entry.isInForce) return { inForce: true };
    return entry.rejected?.version === wanted ? { inForce: false, reason: entry.rejected.reason } : { inForce: false };
  }

  close(): void {
    for (const alias of [...this.#aliases.keys()]) this.#release(alias);
  }

  resourceChanged({ key }: Resource): void {
    this.#mark(key);
    this.#unblock();
  }

  closureChanged(closure: Closure): void {
    const followed = this.#closures.get(closure.service);
    if (followed === undefined) return;
    this.#lead(followed, closure.resources);
    for (const alias of followed.aliases) this.#due.aliases.add(alias);
    this.#unblock();
  }

  addressChanged(address: string): void {
    const alias = this.#aliases.get(address);
    if (alias === undefined) return;
    this.#point(address, alias, this.#context.directory.serviceAt(address));
    this.#unblock();
  }

  settled(): void {
    this.#context.wake();
  }

  /** Workloads are expected back no more. */
  arrived(): void {
    this.#unblock();
    this.#context.wake();
  }

  #hold(resources: readonly ResourceVersion[]): void {
    this.#heldCount += resources.length;
    if (this.#heldCount > maxHeld) throw tooMany(`The sidecar holds over ${maxHeld} resources`);
    this.#settledAt = this.#context.now() + settleMs;
    for (const { type, name, version: held } of resources) {
      if (![Types.SERVICE, Types.ROUTES, Types.ENDPOINTS].includes(type))
        throw violation(`A resource that is held has the type ${type}, which is none.`);
      if (name.length > 2 * maxAliasLength || held.length > 100)
        throw violation("A resource that is held has a name or version that is too long.");
      const entry = this.#entry(type, name);
      if (entry.sent === undefined) Object.assign(entry, { sent: held, isHeld: true, isInForce: true });
      if (entry.leads === 0) this.#due.removals.add(resourceKey(type, name));
    }
  }

  #resolve(alias: string): void {
    if (alias.length > maxAliasLength) throw violation(`An alias is over ${maxAliasLength} characters.`);
    const known = this.#aliases.get(alias);
    if (known !== undefined) known.sent = undefined;
    else if (this.#aliases.size >= maxAliases) throw tooMany(`The sidecar follows ${maxAliases} names`);
    else this.#follow(alias);
    this.#due.aliases.add(alias);
  }

  #follow(name: string): void {
    const { namespace, directory } = this.#context;
    const target = targetOf(name, namespace);
    const alias: Alias = { target, service: undefined, sent: undefined };
    this.#aliases.set(name, alias);
    if (target === undefined) return;
    this.#point(name, alias, "service" in target ? target.service : directory.followAddress(target.address, this));
  }

  #release(name: string): void {
    const alias = this.#aliases.get(name);
    if (alias === undefined) return;
    this.#point(name, alias, undefined);
    if (alias.target !== undefined && "address" in alias.target) this.#context.directory.unfollowAddress(alias.target.address, this);
    this.#aliases.delete(name);
    this.#due.aliases.delete(name);
    this.#blocked.aliases.delete(name);
  }

  /** Makes an alias lead to a service. */
  #point(name: string, alias: Alias, service: string | undefined): void {
    const { directory, namespace } = this.#context;
    const before = alias.service;
    if (before === service) return;
    alias.service = service;
    this.#due.aliases.add(name);
    if (service !== undefined) {
      const followed = this.#closures.get(service) ?? {
        closure: directory.follow(service, namespace, this),
        aliases: new Set(),
        resources: [],
      };
      this.#closures.set(service, followed);
      followed.aliases.add(name);
      this.#lead(followed, followed.closure.resources);
    }
    const left = before === undefined ? undefined : this.#closures.get(before);
    if (left === undefined || before === undefined || !left.aliases.delete(name) || left.aliases.size > 0) return;
    this.#closures.delete(before);
    this.#lead(left, []);
    directory.unfollow(left.closure, namespace, this);
  }

  /** Makes a followed service lead to these resources. */
  #lead(followed: { resources: readonly Resource[] }, resources: readonly Resource[]): void {
    const before = followed.resources;
    followed.resources = resources;
    for (const resource of resources) {
      const entry = this.#entry(resource.type, resource.name);
      entry.leads += 1;
      entry.resource = resource;
      this.#mark(resource.key);
    }
    for (const { key } of before) {
      const entry = this.#entries.get(key);
      if (entry === undefined) continue;
      entry.leads -= 1;
      if (entry.leads > 0) continue;
      entry.resource = undefined;
      entry.rejected = undefined;
      this.#refused.delete(key);
      this.#context.progress(key);
      if (entry.sent === undefined) this.#forget(key);
      else this.#due.removals.add(key);
    }
  }

  #entry(type: ResourceType, name: string): Entry {
    const key = resourceKey(type, name);
    const known = this.#entries.get(key);
    if (known !== undefined) return known;
    const entry: Entry = {
      type,
      name,
      resource: undefined,
      leads: 0,
      sent: undefined,
      base: "",
      isHeld: false,
      isInForce: false,
      rejected: undefined,
    };
    this.#entries.set(key, entry);
    return entry;
  }

  #forget(key: string): void {
    this.#entries.delete(key);
    this.#unanswered.delete(key);
    this.#refused.delete(key);
    this.#blocked.keys.delete(key);
  }

  #mark(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#due.removals.delete(key);
    this.#blocked.keys.delete(key);
    (entry.type === Types.ROUTES ? this.#due.routes : this.#due.resources).add(key);
    this.#context.progress(key);
  }

  #unblock(): void {
    for (const key of this.#blocked.keys) this.#mark(key);
    for (const alias of this.#blocked.aliases) this.#due.aliases.add(alias);
    this.#blocked.aliases.clear();
  }

  #nextResource(due: Set<string>): Buffer | undefined {
    for (const key of due) {
      due.delete(key);
      const entry = this.#entries.get(key);
      const wanted = entry?.resource?.version;
      if (entry?.resource === undefined || wanted === undefined) continue;
      if (entry.sent === wanted || entry.rejected?.version === wanted) continue;
      if (this.#isTooEarly(entry.name, entry) || !entry.resource.leadsTo.every((each) => this.#isKnown(each))) {
        this.#blocked.keys.add(key);
        continue;
      }
      const { frame, base } = entry.resource.update(entry.sent);
      Object.assign(entry, { sent: wanted, base, isHeld: false, isInForce: false, rejected: undefined });
      this.#refused.delete(key);
      this.#unanswered.add(key);
      if (entry.type === Types.ENDPOINTS) this.#told.add(entry.name);
      this.#unblock();
      return frame;
    }
    return undefined;
  }

  #nextAlias(): Buffer | undefined {
    for (const name of this.#due.aliases) {
      this.#due.aliases.delete(name);
      const alias = this.#aliases.get(name);
      if (alias === undefined) continue;
      const value = this.#answer(name, alias);
      if (value === undefined) {
        this.#blocked.aliases.add(name);
        continue;
      }
      const text = JSON.stringify(value);
      if (alias.sent === text) continue;
      alias.sent = text;
      this.#told.add(alias.service ?? name);
      return message({ case: "alias", value });
    }
    return undefined;
  }

  /** What an alias leads to; undefined while that cannot be said. */
  #answer(name: string, alias: Alias): { alias: string; service: string; routedPorts: { port: number; routes: string }[] } | undefined {
    const { service, target } = alias;
    const none = { alias: name, service: "", routedPorts: [] };
    if (target === undefined) return none;
    if (service === undefined) return this.#isTooEarly(name, undefined) ? undefined : none;
    const closure = this.#closures.get(service)?.closure;
    const endpoints = this.#entries.get(resourceKey(Types.ENDPOINTS, service));
    if (this.#isTooEarly(service, endpoints)) return undefined;
    if (closure === undefined || !closure.isFound) return none;
    if (!closure.resources.every(({ key }) => this.#isKnown(key))) return undefined;
    return { alias: name, service, routedPorts: closure.routedPorts.map(({ port, routes }) => ({ port, routes })) };
  }

  #nextRemoval(): Buffer | undefined {
    // What a sidecar holds in place of what it did not take, or not yet, may lead there.
    const isBusy = [this.#unanswered, this.#refused, this.#blocked.keys, this.#blocked.aliases].some(({ size }) => size > 0);
    if (isBusy || this.#context.now() < this.#settledAt) return undefined;
    for (const key of this.#due.removals) {
      this.#due.removals.delete(key);
      const entry = this.#entries.get(key);
      if (entry === undefined || entry.leads > 0) continue;
      this.#forget(key);
      return message({ case: "removal", value: { type: entry.type, name: entry.name } });
    }
    return undefined;
  }

  /** Whether a sidecar has something of a resource, or refused what there is. */
  #isKnown(key: string): boolean {
    const entry = this.#entries.get(key);
    return entry !== undefined && (entry.sent !== undefined || entry.rejected !== undefined);
  }

  /**
   * Whether an answer would be wrong because workloads that run are not registered again yet. Who holds endpoints from before goes on with those until
   * all are back; who holds none waits for the first.
   */
  #isTooEarly(service: string, entry: Entry | undefined): boolean {
    if (this.#told.has(service) || !this.#context.isExpecting(service)) return false;
    const endpoints = this.#entries.get(resourceKey(Types.ENDPOINTS, service)) ?? entry;
    return endpoints?.isHeld === true || (endpoints?.resource?.size ?? 0) === 0;
  }

  #acknowledge({ type, name, version: acknowledged }: ResourceVersion): void {
    const key = resourceKey(type, name);
    const entry = this.#entries.get(key);
    if (entry === undefined || entry.sent !== acknowledged || !this.#unanswered.delete(key)) return;
    entry.isInForce = true;
    this.#context.progress(key);
  }

  #reject({ rejected, held, reason }: Rejection): void {
    if (rejected === undefined) throw violation("A rejection names no update.");
    const key = resourceKey(rejected.type, rejected.name);
    const entry = this.#entries.get(key);
    const words = reason.slice(0, 500);
    // Of an update that another one followed: what becomes of that one is still to be heard.
    if (entry === undefined || entry.sent !== rejected.version || !this.#unanswered.delete(key)) return;
    const isOfBase = entry.base !== "" && held !== entry.base;
    Object.assign(entry, { sent: held === "" || isOfBase ? undefined : held, isInForce: held !== "" && !isOfBase });
    if (!isOfBase) {
      entry.rejected = { version: rejected.version, reason: words };
      if (entry.leads > 0) this.#refused.add(key);
      this.#context.rejected({ type: entry.type, name: entry.name, version: rejected.version, reason: words });
    }
    if (entry.leads > 0) this.#mark(key);
    else this.#forget(key);
    this.#unblock();
  }
}

function message(response: MessageInitShape<typeof DiscoveryWatchResponseSchema>["response"]): Buffer {
  return framed(toBinary(DiscoveryWatchResponseSchema, create(DiscoveryWatchResponseSchema, { response } as never)));
}

function tooMany(what: string): Error {
  return weftError("WEFT-C-TOO-MANY", `${what}, and no more are allowed.`, {
    hint: "The program asks for very many names: look at what it does.",
  });
}

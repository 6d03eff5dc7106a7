import type { MessageInitShape } from "@bufbuild/protobuf";
import { weftError } from "@weft/api";
import type { DiscoveryWatchRequest, DiscoveryWatchResponseSchema, ServiceUpdateSchema } from "@weft/api/proto";
import { endpointHash } from "../model/digest.ts";
import { differenceSince, type ServiceHistory } from "../model/history.ts";
import { serviceKey } from "../model/records.ts";
import { isPublished, maxSubscriptionLength, resolveSubscription } from "../model/subscription.ts";
import { wireProtocol } from "../protocols.ts";
import { violation } from "../serve/errors.ts";
import { HelloFirst } from "../serve/session.ts";
import type { Wakeup } from "../serve/wakeup.ts";
import { version } from "../version.ts";
import type { ServiceTable } from "./table.ts";

type Response = MessageInitShape<typeof DiscoveryWatchResponseSchema>;

/** At most this many subscriptions a sidecar. */
export const maxSubscriptions = 10_000;

interface Subscription {
  key: string | undefined;
  /** Revision that the sidecar holds. */
  revision: number;
  /** Whether it was told anything on this stream. */
  told: boolean;
  /** The service that it was told of last. A published port may pass from one to another. */
  service: string | undefined;
  unwatch(): void;
}

/** An update that a sidecar could not use. */
export interface Rejected {
  subscription: string;
  revision: number;
  reason: string;
}

/**
 * One sidecar's Discovery.Watch. All that is held of what was sent is a revision a subscription; what is to be said is worked out from it when the
 * sidecar is ready to take it, so a slow one costs nothing and gets all changes in one.
 */
export class DiscoveryStream {
  readonly #table: ServiceTable;
  readonly #namespace: string;
  readonly #wakeup: Wakeup;
  readonly #rejected: (rejected: Rejected) => void;
  readonly #hello = new HelloFirst();
  readonly #subscriptions = new Map<string, Subscription>();
  readonly #dirty = new Set<string>();
  #greeted = false;
  #digestsDue = false;

  /** `namespace` is the caller's. */
  constructor(table: ServiceTable, namespace: string, wakeup: Wakeup, rejected: (rejected: Rejected) => void) {
    this.#table = table;
    this.#namespace = namespace;
    this.#wakeup = wakeup;
    this.#rejected = rejected;
  }

  /** Takes a message of the sidecar. */
  receive({ request }: DiscoveryWatchRequest): void {
    this.#hello.check(request.case);
    if (request.case === "subscribe") this.#subscribe(request.value.subscription, Number(request.value.revision));
    else if (request.case === "unsubscribe") this.#unsubscribe(request.value.subscription);
    else if (request.case === "rejection") {
      const { subscription, revision, reason } = request.value;
      this.#rejected({
        subscription: subscription.slice(0, maxSubscriptionLength),
        revision: Number(revision),
        reason: reason.slice(0, 500),
      });
    }
  }

  /** Makes digests of everything be sent next. */
  digest(): void {
    this.#digestsDue = true;
    this.#wakeup.wake();
  }

  /** What the sidecar must hear, each piece worked out when it is asked for. */
  *pending(): Generator<Response> {
    if (!this.#greeted) {
      this.#greeted = true;
      yield { response: { case: "hello", value: { version } } };
    }
    for (const name of this.#dirty) {
      this.#dirty.delete(name);
      const subscription = this.#subscriptions.get(name);
      if (subscription === undefined || this.#isTooEarly(subscription)) continue;
      subscription.told = true;
      yield { response: { case: "service", value: this.#update(name, subscription) } };
    }
    if (!this.#digestsDue) return;
    this.#digestsDue = false;
    for (const [name, subscription] of this.#subscriptions) {
      const history = this.#lookup(subscription);
      if (history === undefined || history.revision !== subscription.revision || this.#dirty.has(name)) continue;
      const { endpoints } = history.view;
      const digest = { revision: BigInt(history.revision), endpointCount: endpoints.length, endpointHash: endpointHash(endpoints) };
      yield { response: { case: "digest", value: { subscription: name, ...digest } } };
    }
  }

  close(): void {
    for (const { unwatch } of this.#subscriptions.values()) unwatch();
    this.#subscriptions.clear();
  }

  #subscribe(name: string, revision: number): void {
    if (name.length > maxSubscriptionLength) throw violation(`A subscription is over ${maxSubscriptionLength} characters.`);
    this.#unsubscribe(name);
    if (this.#subscriptions.size >= maxSubscriptions) {
      throw weftError("WEFT-C-TOO-MANY", `The sidecar has ${maxSubscriptions} subscriptions, and no more are allowed.`, {
        hint: "The program asks for very many names: look at what it does.",
      });
    }
    const key = resolveSubscription(name, this.#namespace);
    const changed = () => {
      this.#dirty.add(name);
      this.#wakeup.wake();
    };
    const unwatch = key === undefined ? () => {} : this.#table.watch(key, changed);
    this.#subscriptions.set(name, { key, revision: isPublished(name) ? 0 : revision, service: undefined, told: false, unwatch });
    changed();
  }

  #unsubscribe(name: string): void {
    this.#subscriptions.get(name)?.unwatch();
    this.#subscriptions.delete(name);
    this.#dirty.delete(name);
  }

  #lookup({ key }: Subscription): ServiceHistory | undefined {
    return key === undefined ? undefined : this.#table.get(key);
  }

  /**
   * Whether an answer would be wrong because workloads that run are not registered again yet. Who holds endpoints from before goes on with those until
   * all are back; who holds none waits for the first. The table tells when that changes.
   */
  #isTooEarly(subscription: Subscription): boolean {
    const { key, revision, told } = subscription;
    if (told || key === undefined || !this.#table.isExpecting(key)) return false;
    return revision > 0 || (this.#lookup(subscription)?.view.endpoints.length ?? 0) === 0;
  }

  #update(name: string, subscription: Subscription): MessageInitShape<typeof ServiceUpdateSchema> {
    const history = this.#lookup(subscription);
    if (history === undefined) {
      // Nothing is held any more: whatever comes next is told whole.
      subscription.revision = 0;
      return { subscription: name, revision: BigInt(this.#table.revision), found: false };
    }
    const { view, revision } = history;
    const service = serviceKey(view);
    if (subscription.service !== undefined && subscription.service !== service) subscription.revision = 0;
    subscription.service = service;
    const { full, added, removed } = differenceSince(history, subscription.revision);
    subscription.revision = revision;
    return {
      subscription: name,
      revision: BigInt(revision),
      full,
      found: true,
      namespace: view.namespace,
      service: view.name,
      virtualAddress: view.virtualAddress,
      ports: view.ports.map(({ port, protocol }) => ({ port, protocol: wireProtocol(protocol) })),
      endpointsAdded: added,
      endpointsRemoved: removed,
    };
  }
}

import { advance, type ServiceHistory } from "../model/history.ts";
import { serviceKey } from "../model/records.ts";
import { publishedKey } from "../model/subscription.ts";
import type { ServiceView } from "../model/view.ts";

// Each start of the controller has its own range, so that revisions grow over restarts without a write for each.
const revisionsPerGeneration = 2 ** 32;

/** Every service that exists, by "name.namespace", virtual address and published ports, and who wants to hear of changes. */
export class ServiceTable {
  readonly #histories = new Map<string, ServiceHistory>();
  /** Keys of published ports, each with that of its service. */
  readonly #published = new Map<string, string>();
  readonly #watchers = new Map<string, Set<() => void>>();
  /** Workloads that are expected back, by what callers use of their services. */
  readonly #expected = new Map<string, Set<string>>();
  #revision: number;

  /** `generation` is the registry's. */
  constructor(generation: number) {
    this.#revision = generation * revisionsPerGeneration;
  }

  /** Revision of the last change of anything. */
  get revision(): number {
    return this.#revision;
  }

  /** A revision greater than every one before it, over restarts too. */
  nextRevision(): number {
    return ++this.#revision;
  }

  /** The service behind a name, virtual address or published port. */
  get(key: string): ServiceHistory | undefined {
    return this.#histories.get(this.#published.get(key) ?? key);
  }

  /** Every service. */
  views(): ServiceView[] {
    return [...this.#histories].filter(([key, { view }]) => key === serviceKey(view)).map(([, { view }]) => view);
  }

  /** Takes in what a service is now; undefined when it does not exist. */
  set(key: string, view: ServiceView | undefined): void {
    const before = this.#histories.get(key);
    const after = view === undefined ? undefined : advance(before, view, this.#revision + 1);
    if (before === after) return;
    this.#revision++;
    const addresses = new Set([before?.view.virtualAddress, after?.view.virtualAddress].filter((address) => address !== undefined));
    for (const each of [key, ...addresses]) {
      if (after === undefined) this.#histories.delete(each);
      else this.#histories.set(each, after);
    }
    const ports = [...this.#published].filter(([, service]) => service === key).map(([port]) => port);
    for (const each of [key, ...addresses, ...ports]) this.#notify(each);
  }

  /** Takes in which service has published a port; undefined when none has. */
  publish(port: number, service: string | undefined): void {
    const key = publishedKey(port);
    if (this.#published.get(key) === service) return;
    if (service === undefined) this.#published.delete(key);
    else this.#published.set(key, service);
    this.#notify(key);
  }

  /** A workload that runs is not registered again yet: what is known behind these keys is not all. */
  expect(workload: string, keys: string[]): void {
    for (const key of keys) this.#expected.set(key, (this.#expected.get(key) ?? new Set()).add(workload));
  }

  /** A workload that was expected came back, or is waited for no more. */
  arrived(workload: string): void {
    for (const [key, workloads] of this.#expected) {
      if (!workloads.delete(workload) || workloads.size > 0) continue;
      this.#expected.delete(key);
      for (const notify of this.#watchers.get(key) ?? []) notify();
    }
  }

  /** Whether workloads of a service are expected back. */
  isExpecting(key: string): boolean {
    return this.#expected.has(key);
  }

  /** Calls `notify` after each change of a service, also of one that does not exist yet. Answers how to stop. */
  watch(key: string, notify: () => void): () => void {
    const watchers = this.#watchers.get(key) ?? new Set();
    this.#watchers.set(key, watchers.add(notify));
    return () => {
      watchers.delete(notify);
      if (watchers.size === 0 && this.#watchers.get(key) === watchers) this.#watchers.delete(key);
    };
  }

  #notify(key: string): void {
    for (const notify of this.#watchers.get(key) ?? []) notify();
  }
}

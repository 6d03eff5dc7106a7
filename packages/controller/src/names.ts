import { weftError } from "@weft/api";
import { allocateAddress, virtualPrefix } from "./model/addresses.ts";
import { addressRetentionMs, type ServiceRecord, serviceKey } from "./model/records.ts";
import type { Registry, RegistryContent, RegistryWriter } from "./registry/registry.ts";

/** Names of services, each with its virtual address, which outlives the service's members. */
export class ServiceNames {
  readonly #registry: Registry;
  readonly #services: Map<string, ServiceRecord>;
  #cursor: number;

  constructor(registry: Registry, { services, cursors }: RegistryContent) {
    this.#registry = registry;
    this.#services = new Map(services.map((service) => [serviceKey(service), service]));
    this.#cursor = cursors.virtual;
  }

  keys(): Iterable<string> {
    return this.#services.keys();
  }

  get(key: string): ServiceRecord | undefined {
    return this.#services.get(key);
  }

  /** Keeps an address for a name that has none, unless another name has it. It becomes durable with the first member. */
  keep(name: { namespace: string; name: string }, virtualAddress: string): void {
    const isTaken = [...this.#services.values()].some((each) => each.virtualAddress === virtualAddress);
    if (isTaken || this.#services.has(serviceKey(name))) return;
    this.#services.set(serviceKey(name), { ...name, virtualAddress, deletedAt: Date.now() });
  }

  /** The virtual address of a name, which gets one if it has none. Durable. Without members it is kept as that of a deleted service. */
  allocate(name: { namespace: string; name: string }): string {
    const known = this.#services.get(serviceKey(name));
    if (known !== undefined) return known.virtualAddress;
    this.#create(name, Date.now(), () => {});
    return (this.#services.get(serviceKey(name)) as ServiceRecord).virtualAddress;
  }

  /** Makes a member durable, by `put`, together with the service that it belongs to. */
  enter(member: { namespace: string; service: string }, put: (writer: RegistryWriter) => void): void {
    const name = { namespace: member.namespace, name: member.service };
    const existing = this.#services.get(serviceKey(name));
    if (existing === undefined) {
      this.#create(name, null, put);
      return;
    }
    const service = { ...existing, deletedAt: null };
    this.#registry.transaction((writer) => {
      if (existing.deletedAt !== null) writer.putService(service);
      put(writer);
    });
    this.#services.set(serviceKey(name), service);
  }

  /** Makes the departure of a member durable, by `remove`. The last one's starts the retention of its service's address. */
  leave(key: string, isLast: boolean, remove: (writer: RegistryWriter) => void): void {
    const service = this.#services.get(key);
    const emptied = service !== undefined && isLast ? { ...service, deletedAt: Date.now() } : undefined;
    this.#registry.transaction((writer) => {
      remove(writer);
      if (emptied !== undefined) writer.putService(emptied);
    });
    if (emptied !== undefined) this.#services.set(key, emptied);
  }

  #create(name: { namespace: string; name: string }, deletedAt: number | null, put: (writer: RegistryWriter) => void): void {
    const now = Date.now();
    const all = [...this.#services.values()];
    const expired = all.filter(({ deletedAt }) => deletedAt !== null && deletedAt + addressRetentionMs < now);
    const taken = new Set(all.filter((each) => !expired.includes(each)).map(({ virtualAddress }) => virtualAddress));
    const virtual = allocateAddress(virtualPrefix, this.#cursor, (address) => taken.has(address));
    if (virtual === undefined) throw weftError("WEFT-C-ADDRESSES-EXHAUSTED", `Every address of ${virtualPrefix}.0.0/16 is in use or kept.`);
    const service: ServiceRecord = { ...name, virtualAddress: virtual.address, deletedAt };
    this.#registry.transaction((writer) => {
      for (const each of expired) writer.deleteService(each);
      writer.putService(service);
      writer.setCursor("virtual", virtual.cursor);
      put(writer);
    });
    for (const each of expired) this.#services.delete(serviceKey(each));
    this.#services.set(serviceKey(service), service);
    this.#cursor = virtual.cursor;
  }
}

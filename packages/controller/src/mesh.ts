import { randomBytes } from "node:crypto";
import { EventEmitter } from "node:events";
import { isDeepStrictEqual } from "node:util";
import {
  type launchedSchema,
  type RegisteredWorkload,
  type registerEndpointSchema,
  type registerWorkloadSchema,
  weftError,
} from "@weft/api";
import type { z } from "zod";
import { ServiceTable } from "./discovery/table.ts";
import { allocateAddress, virtualPrefix, workloadPrefix } from "./model/addresses.ts";
import {
  addressRetentionMs,
  type EndpointRecord,
  identityOf,
  ownerKey,
  type ServiceRecord,
  type SidecarRecord,
  serviceKey,
  type WorkloadRecord,
} from "./model/records.ts";
import { viewService } from "./model/view.ts";
import type { Registry, RegistryWriter } from "./registry/registry.ts";

/** How long the mesh waits for a sidecar, milliseconds. */
export interface Patience {
  /** From registration to the first connection. */
  connectMs: number;
  /** From the loss of a connection to the withdrawal of the endpoint. */
  graceMs: number;
  /** From the loss of a connection, or the controller's start, until the workload is forgotten. */
  returnMs: number;
}

const defaultPatience: Patience = { connectMs: 60_000, graceMs: 2_000, returnMs: 30_000 };

// A drained sidecar's last report comes after its workload was removed.
const departedMs = 60_000;

/** Bounds of what may be registered. */
export const maxWorkloads = 10_000;
export const maxEndpoints = 10_000;

/** A workload as it is now. */
export interface Workload {
  record: WorkloadRecord;
  state: "starting" | "live" | "away";
  offered: boolean;
}

interface Held extends Workload {
  timer: NodeJS.Timeout | undefined;
  connection: SidecarConnection | undefined;
}

/** The Policy.Watch stream of a sidecar: while it is open its workload is alive. */
export interface SidecarConnection {
  /** The program's listening ports. */
  listening(ports: number[]): void;
  /** The stream ended; `orderly` when the sidecar said so. */
  close(orderly: boolean): void;
}

interface Events {
  /** The record of a workload changed. */
  workload: [id: string];
  /** A workload was removed. */
  removed: [record: WorkloadRecord, reason: string];
  /** What was last seen of a sidecar could not be made durable. */
  unwritable: [error: unknown];
}

/** Services, workloads and endpoints, kept in step between the registry, the sidecars' connections and the service table. */
export class Mesh extends EventEmitter<Events> {
  readonly table: ServiceTable;
  readonly #registry: Registry;
  readonly #patience: Patience;
  readonly #services = new Map<string, ServiceRecord>();
  readonly #workloads = new Map<string, Held>();
  readonly #endpoints = new Map<string, EndpointRecord>();
  readonly #members = new Map<string, { workloads: Set<string>; endpoints: Set<string> }>();
  readonly #departed = new Map<string, WorkloadRecord>();
  readonly #cursors;
  #closed = false;

  constructor(registry: Registry, patience: Partial<Patience> = {}) {
    super();
    // Each sidecar listens.
    this.setMaxListeners(0);
    this.#registry = registry;
    this.#patience = { ...defaultPatience, ...patience };
    const content = registry.load();
    this.#cursors = content.cursors;
    this.table = new ServiceTable(content.generation);
    for (const service of content.services) this.#services.set(serviceKey(service), service);
    for (const record of content.endpoints) this.#admitEndpoint(record);
    for (const record of content.workloads) {
      const held = this.#admit(record, { state: record.sidecar === null ? "starting" : "away", offered: true });
      this.#expire(held, this.#patience.returnMs, "its sidecar did not come back after the controller's restart");
    }
    for (const key of this.#services.keys()) this.#refresh(key);
  }

  workload(id: string): Workload | undefined {
    return this.#workloads.get(id);
  }

  workloads(): Workload[] {
    return [...this.#workloads.values()];
  }

  /** The record of a workload that is registered or was removed less than a minute ago. */
  known(id: string): WorkloadRecord | undefined {
    return this.#workloads.get(id)?.record ?? this.#departed.get(id);
  }

  /** Number of workloads of a service, callable or not. */
  workloadCount(key: string): number {
    return this.#members.get(key)?.workloads.size ?? 0;
  }

  register(input: z.output<typeof registerWorkloadSchema>): RegisteredWorkload {
    if (this.#workloads.size >= maxWorkloads) throw tooMany(`${maxWorkloads} workloads are registered`);
    const owner = ownerKey(input);
    const siblings = this.workloadCount(owner);
    const taken = new Set([...this.#workloads.values()].map(({ record }) => record.address));
    const own = allocateAddress(workloadPrefix, this.#cursors.workload, (address) => taken.has(address));
    if (own === undefined) throw weftError("WEFT-C-ADDRESSES-EXHAUSTED", `Every address of ${workloadPrefix}.0.0/16 is in use.`);
    const record: WorkloadRecord = {
      id: freshId("w", (id) => this.#workloads.has(id)),
      service: input.service,
      namespace: input.namespace,
      address: own.address,
      declaredPorts: input.ports,
      command: input.command,
      pid: input.pid,
      registeredAt: Date.now(),
      launched: null,
      sidecar: null,
      listening: null,
    };
    this.#withService(record, (writer) => {
      writer.putWorkload(record);
      writer.setCursor("workload", own.cursor);
    });
    this.#cursors.workload = own.cursor;
    const held = this.#admit(record, { state: "starting", offered: false });
    this.#expire(held, this.#patience.connectMs, "its sidecar did not connect");
    this.#refresh(owner);
    const publish = input.publish ? publishedPorts(input.ports) : [];
    const { id, service, namespace, address } = record;
    return { id, service, namespace, address, identity: identityOf(record), publish, siblings };
  }

  launched(id: string, launched: z.output<typeof launchedSchema>): void {
    const held = this.#required(id);
    const record = { ...held.record, launched };
    this.#registry.transaction((writer) => writer.putWorkload(record));
    this.#changed(held, record);
  }

  /** Removes a workload; its endpoint is withdrawn at once. */
  remove(id: string, reason: string): void {
    const held = this.#required(id);
    const owner = ownerKey(held.record);
    this.#leaving(owner, (writer) => writer.deleteWorkload(id));
    clearTimeout(held.timer);
    this.#workloads.delete(id);
    this.#members.get(owner)?.workloads.delete(id);
    this.#departed.set(id, held.record);
    setTimeout(() => this.#departed.delete(id), departedMs).unref();
    this.#refresh(owner);
    this.emit("removed", held.record, reason);
  }

  addEndpoint(input: z.output<typeof registerEndpointSchema>): string {
    if (this.#endpoints.size >= maxEndpoints) throw tooMany(`${maxEndpoints} endpoints are registered`);
    const record: EndpointRecord = { id: freshId("e", (id) => this.#endpoints.has(id)), ...input };
    this.#withService(record, (writer) => writer.putEndpoint(record));
    this.#admitEndpoint(record);
    this.#refresh(ownerKey(record));
    return record.id;
  }

  removeEndpoint(id: string): void {
    const record = this.#endpoints.get(id);
    if (record === undefined) throw weftError("WEFT-C-ENDPOINT-UNKNOWN", `No endpoint ${JSON.stringify(id)}.`);
    const owner = ownerKey(record);
    this.#leaving(owner, (writer) => writer.deleteEndpoint(id));
    this.#endpoints.delete(id);
    this.#members.get(owner)?.endpoints.delete(id);
    this.#refresh(owner);
  }

  /** A sidecar opened its Policy.Watch stream. A newer connection of the same workload replaces the older. */
  connect(id: string, sidecar: SidecarRecord): SidecarConnection {
    const held = this.#required(id);
    clearTimeout(held.timer);
    const connection: SidecarConnection = {
      listening: (ports) => {
        if (held.connection === connection) this.#seen(held, { listening: ports });
      },
      close: (orderly) => {
        if (held.connection === connection) this.#disconnected(held, orderly);
      },
    };
    Object.assign(held, { connection, state: "live", offered: true });
    this.#seen(held, { sidecar });
    return connection;
  }

  /** Stops every timer: what ends from now on ends because the controller does. */
  close(): void {
    this.#closed = true;
    for (const { timer } of this.#workloads.values()) clearTimeout(timer);
    this.removeAllListeners();
  }

  #disconnected(held: Held, orderly: boolean): void {
    if (this.#closed || !this.#workloads.has(held.record.id)) return;
    const { graceMs, returnMs } = this.#patience;
    const reason = "its sidecar went away and did not come back";
    Object.assign(held, { connection: undefined, state: "away", offered: !orderly });
    this.#refresh(ownerKey(held.record));
    if (orderly) {
      this.#expire(held, returnMs, reason);
      return;
    }
    this.#after(held, graceMs, () => {
      held.offered = false;
      this.#refresh(ownerKey(held.record));
      this.#expire(held, returnMs - graceMs, reason);
    });
  }

  // What a sidecar says takes effect even when it cannot be written: it matters only after a restart of the controller.
  #seen(held: Held, change: Partial<WorkloadRecord>): void {
    const record = { ...held.record, ...change };
    const isNews = !isDeepStrictEqual(record, held.record);
    try {
      if (isNews && this.#workloads.has(record.id)) this.#registry.transaction((writer) => writer.putWorkload(record));
    } catch (error) {
      this.emit("unwritable", error);
    }
    this.#changed(held, record);
  }

  #changed(held: Held, record: WorkloadRecord): void {
    held.record = record;
    this.#refresh(ownerKey(record));
    this.emit("workload", record.id);
  }

  #expire(held: Held, ms: number, reason: string): void {
    this.#after(held, ms, () => {
      try {
        this.remove(held.record.id, reason);
      } catch (error) {
        this.emit("unwritable", error);
        this.#expire(held, ms, reason);
      }
    });
  }

  #after(held: Held, ms: number, action: () => void): void {
    clearTimeout(held.timer);
    if (!this.#closed) held.timer = setTimeout(action, ms).unref();
  }

  #admit(record: WorkloadRecord, { state, offered }: Pick<Workload, "state" | "offered">): Held {
    const held: Held = { record, state, offered, timer: undefined, connection: undefined };
    this.#workloads.set(record.id, held);
    this.#membersOf(ownerKey(record)).workloads.add(record.id);
    return held;
  }

  #admitEndpoint(record: EndpointRecord): void {
    this.#endpoints.set(record.id, record);
    this.#membersOf(ownerKey(record)).endpoints.add(record.id);
  }

  #membersOf(key: string) {
    const members = this.#members.get(key) ?? { workloads: new Set<string>(), endpoints: new Set<string>() };
    this.#members.set(key, members);
    return members;
  }

  /** Makes a member durable together with the service that it belongs to. */
  #withService(member: { namespace: string; service: string }, put: (writer: RegistryWriter) => void): void {
    const name = { namespace: member.namespace, name: member.service };
    const existing = this.#services.get(serviceKey(name));
    if (existing !== undefined) {
      const service = { ...existing, deletedAt: null };
      this.#registry.transaction((writer) => {
        if (existing.deletedAt !== null) writer.putService(service);
        put(writer);
      });
      this.#services.set(serviceKey(name), service);
      return;
    }
    const now = Date.now();
    const expired = [...this.#services.values()].filter(({ deletedAt }) => deletedAt !== null && deletedAt + addressRetentionMs < now);
    const kept = new Set(
      [...this.#services.values()].filter((each) => !expired.includes(each)).map(({ virtualAddress }) => virtualAddress),
    );
    const virtual = allocateAddress(virtualPrefix, this.#cursors.virtual, (address) => kept.has(address));
    if (virtual === undefined) throw weftError("WEFT-C-ADDRESSES-EXHAUSTED", `Every address of ${virtualPrefix}.0.0/16 is in use or kept.`);
    const service: ServiceRecord = { ...name, virtualAddress: virtual.address, deletedAt: null };
    this.#registry.transaction((writer) => {
      for (const each of expired) writer.deleteService(each);
      writer.putService(service);
      writer.setCursor("virtual", virtual.cursor);
      put(writer);
    });
    for (const each of expired) this.#services.delete(serviceKey(each));
    this.#services.set(serviceKey(service), service);
    this.#cursors.virtual = virtual.cursor;
  }

  /** Makes the departure of a member durable; the last one's starts the retention of its service's address. */
  #leaving(key: string, remove: (writer: RegistryWriter) => void): void {
    const { workloads, endpoints } = this.#membersOf(key);
    const service = this.#services.get(key);
    const emptied = service !== undefined && workloads.size + endpoints.size === 1 ? { ...service, deletedAt: Date.now() } : undefined;
    this.#registry.transaction((writer) => {
      remove(writer);
      if (emptied !== undefined) writer.putService(emptied);
    });
    if (emptied !== undefined) this.#services.set(key, emptied);
  }

  #refresh(key: string): void {
    const service = this.#services.get(key);
    const { workloads, endpoints } = this.#membersOf(key);
    const states = [...workloads].map((id) => this.#workloads.get(id) as Held);
    const plain = [...endpoints].map((id) => this.#endpoints.get(id) as EndpointRecord);
    if (states.length + plain.length === 0) this.#members.delete(key);
    this.table.set(key, service === undefined ? undefined : viewService(service, states, plain));
  }

  #required(id: string): Held {
    const held = this.#workloads.get(id);
    if (held === undefined) throw weftError("WEFT-C-WORKLOAD-UNKNOWN", `No workload ${JSON.stringify(id)}.`);
    return held;
  }
}

// "--port 8080" serves 80 and 8080, of which people want 8080 on the host.
function publishedPorts(ports: { servicePort: number; targetPort: number }[]): number[] {
  const same = ports.filter(({ servicePort, targetPort }) => servicePort === targetPort);
  return (same.length > 0 ? same : ports).map(({ servicePort }) => servicePort);
}

function freshId(prefix: string, isTaken: (id: string) => boolean): string {
  for (;;) {
    const id = `${prefix}-${randomBytes(5).toString("hex")}`;
    if (!isTaken(id)) return id;
  }
}

function tooMany(what: string): Error {
  return weftError("WEFT-C-TOO-MANY", `${what}, and no more are allowed.`);
}

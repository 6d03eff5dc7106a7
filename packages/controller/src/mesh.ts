import { randomBytes } from "node:crypto";
import { EventEmitter } from "node:events";
import { isDeepStrictEqual } from "node:util";
import {
  type launchedSchema,
  type PortMapping,
  type RegisteredWorkload,
  type registerAgainSchema,
  type registerEndpointSchema,
  type registerWorkloadSchema,
  weftError,
} from "@weft/api";
import type { z } from "zod";
import { Expected } from "./expected.ts";
import { allocateAddress, virtualPrefix, workloadPrefix } from "./model/addresses.ts";
import { publishedPorts } from "./model/ports.ts";
import { Published } from "./model/published.ts";
import {
  type EndpointRecord,
  identityOf,
  ownerKey,
  type ServiceRecord,
  type SidecarRecord,
  serviceKey,
  type WorkloadRecord,
} from "./model/records.ts";
import { ServiceNames } from "./names.ts";
import type { Registry, RegistryWriter } from "./registry/registry.ts";
import { Tombstones } from "./tombstones.ts";

/** How long the mesh waits for a sidecar, milliseconds. */
export interface Patience {
  /** From registration to the first connection. */
  connectMs: number;
  /** From the loss of a connection to the withdrawal of the endpoint. */
  graceMs: number;
  /** From the loss of a connection, or the controller's start, until the workload is forgotten. */
  returnMs: number;
  /** From the controller's start until workloads that run but are not in the registry are not waited for with answers any more. */
  expectMs: number;
}

// Each start of the controller has its own range, so that revisions grow over restarts without a write for each.
const revisionsPerGeneration = 2 ** 32;

// Sidecars are back within some three seconds.
const defaultPatience: Patience = { connectMs: 60_000, graceMs: 2_000, returnMs: 30_000, expectMs: 10_000 };

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

/** A workload whose launcher runs although the registry may not know it: what it holds is kept for it. */
export interface Survivor {
  id: string;
  service: string;
  namespace: string;
  address: string;
  virtualAddress: string | undefined;
  /** Its launcher's process. */
  pid: number;
}

/** What can be seen of workloads without asking them. */
export interface Host {
  /** Workloads whose launchers run. */
  survivors(): Survivor[];
  /** Whether a process runs. */
  isAlive(pid: number): boolean;
}

const emptyHost: Host = { survivors: () => [], isAlive: () => true };

/** The Workload.Watch stream of a sidecar: while it is open its workload is alive. */
export interface SidecarConnection {
  /** The program's listening ports. */
  listening(ports: number[]): void;
  /** The stream ended; `orderly` when the sidecar said so. */
  close(orderly: boolean): void;
}

/** What runs or stands behind a service name. */
export interface Members {
  workloads: readonly Workload[];
  /** Endpoints without a sidecar. */
  endpoints: readonly EndpointRecord[];
}

interface Events {
  /** A workload, or an endpoint without a sidecar, is not what it was, came, or went. */
  changed: [member: string, owner: string];
  /** Workloads of a service are expected back no more. */
  arrived: [];
  /** The record of a workload changed. */
  workload: [id: string];
  /** A workload was removed. */
  removed: [record: WorkloadRecord, reason: string];
  /** A person removed a workload: it does not come back, and its certificates are refused. */
  revoked: [id: string];
  /** A workload that was forgotten is registered again. */
  again: [record: WorkloadRecord];
}

/** Workloads and endpoints that were registered: what runs, kept in step between the registry and the sidecars' connections. */
export class Mesh extends EventEmitter<Events> {
  readonly tombstones: Tombstones;
  readonly #registry: Registry;
  readonly #patience: Patience;
  readonly #host: Host;
  readonly #names: ServiceNames;
  readonly #workloads = new Map<string, Held>();
  readonly #endpoints = new Map<string, EndpointRecord>();
  readonly #members = new Map<string, { workloads: Set<string>; endpoints: Set<string> }>();
  readonly #published = new Published();
  readonly #departed = new Map<string, WorkloadRecord>();
  /** Addresses that are kept for survivors, by workload. */
  readonly #kept = new Map<string, string>();
  readonly #expected: Expected;
  /** Workloads whose last change was not written yet. */
  readonly #unsaved = new Set<string>();
  #saving: NodeJS.Immediate | undefined;
  #cursor: number;
  #revision: number;
  #closed = false;

  constructor(registry: Registry, patience: Partial<Patience> = {}, host: Host = emptyHost) {
    super();
    // Each sidecar listens.
    this.setMaxListeners(0);
    this.#registry = registry;
    this.#patience = { ...defaultPatience, ...patience };
    this.#host = host;
    const content = registry.load();
    this.#cursor = content.cursors.workload;
    this.#names = new ServiceNames(registry, content);
    this.#revision = content.generation * revisionsPerGeneration;
    this.#expected = new Expected(host.isAlive, this.#patience.expectMs, () => this.emit("arrived"));
    this.tombstones = new Tombstones(content.tombstones, host, () => this.nextRevision());
    for (const record of content.endpoints) this.#admitEndpoint(record);
    for (const record of content.workloads) {
      const isRunning = host.isAlive(record.pid);
      const held = this.#admit(record, { state: record.sidecar === null ? "starting" : "away", offered: isRunning });
      if (isRunning) this.#expire(held, this.#patience.returnMs, "its sidecar did not come back after the controller's restart");
      else this.#expire(held, 0, "its launcher ended while the controller was away");
    }
    for (const survivor of host.survivors()) this.#keepFor(survivor);
  }

  /** A revision greater than every one before it, over restarts too. */
  nextRevision(): number {
    return ++this.#revision;
  }

  workload(id: string): Workload | undefined {
    return this.#workloads.get(id);
  }

  /** The registered workload of this id. Throws WEFT-C-WORKLOAD-UNKNOWN or WEFT-C-WORKLOAD-REMOVED. */
  required(id: string): Workload {
    return this.#required(id);
  }

  workloads(): Workload[] {
    return [...this.#workloads.values()];
  }

  /** The record of a workload that is registered or was removed less than a minute ago. */
  known(id: string): WorkloadRecord | undefined {
    return this.#workloads.get(id)?.record ?? this.#departed.get(id);
  }

  /** Services that have members. */
  owners(): Iterable<string> {
    return this.#members.keys();
  }

  /** An endpoint without a sidecar. */
  endpoint(id: string): EndpointRecord | undefined {
    return this.#endpoints.get(id);
  }

  /** What stands behind the name of a service. */
  members(key: string): Members {
    const { workloads = [], endpoints = [] } = this.#members.get(key) ?? {};
    return {
      workloads: [...workloads].flatMap((id) => this.#workloads.get(id) ?? []),
      endpoints: [...endpoints].flatMap((id) => this.#endpoints.get(id) ?? []),
    };
  }

  /** The virtual address of a service name; undefined when it has none. */
  virtualAddress(key: string): string | undefined {
    return this.#names.get(key)?.virtualAddress;
  }

  /** Ports of the host's loopback that a workload has published and its service has: of several that say so, the one that said so last. */
  publishedBy({ launched, ...record }: WorkloadRecord): number[] {
    return (launched?.published ?? []).filter((port) => this.#published.holderOf(port) === ownerKey(record));
  }

  /** Whether workloads behind a service name or virtual address run that are not registered again yet. */
  isExpecting(key: string): boolean {
    return this.#expected.has(key);
  }

  /** Number of workloads of a service, callable or not. */
  workloadCount(key: string): number {
    return this.#members.get(key)?.workloads.size ?? 0;
  }

  /** The virtual address of a service's name; undefined while it has none. */
  addressOf(name: { namespace: string; name: string }): string | undefined {
    return this.#names.get(serviceKey(name))?.virtualAddress;
  }

  /** Keeps an address for a name that has none, unless it is another's: that of a Service which was restored, for example. */
  keepAddress(name: { namespace: string; name: string }, virtualAddress: string): void {
    if (virtualAddress.startsWith(`${virtualPrefix}.`)) this.#names.keep(name, virtualAddress);
  }

  /** The virtual address by which a service is called, whoever writes it: given to its name for good. Throws WEFT-C-ADDRESSES-EXHAUSTED, WEFT-C-REGISTRY-UNWRITABLE. */
  allocateAddress(name: { namespace: string; name: string }): string {
    return this.#names.allocate(name);
  }

  /** Says whether somebody wrote a Service of that name: while it is there, the name keeps its virtual address. */
  setWritten(key: string, isWritten: boolean): void {
    this.#names.setWritten(key, isWritten, !this.#members.has(key));
  }

  register(input: z.output<typeof registerWorkloadSchema>): RegisteredWorkload {
    const id = freshId("w", (each) => this.#workloads.has(each) || this.#kept.has(each) || this.tombstones.has(each));
    const publish = input.publish ? publishedPorts(input.ports) : [];
    return this.#registered(this.#enter(id, { ...input, publish }, undefined));
  }

  /** Registers a workload that was forgotten under its id, and with its address if that is free. One that is registered stays as it is. */
  registerAgain(id: string, input: z.output<typeof registerAgainSchema>): RegisteredWorkload {
    this.#checkNotRemoved(id);
    const held = this.#workloads.get(id);
    if (held === undefined) {
      const record = this.#enter(id, input, input.address);
      this.#kept.delete(id);
      this.#departed.delete(id);
      this.emit("again", record);
      return this.#registered(record);
    }
    if (ownerKey(held.record) !== ownerKey(input)) {
      throw weftError("WEFT-C-WORKLOAD-CONFLICT", `${id} is a workload of ${ownerKey(held.record)}, not of ${ownerKey(input)}.`);
    }
    return this.#registered(held.record);
  }

  launched(id: string, launched: z.output<typeof launchedSchema>): void {
    const held = this.#required(id);
    const record = { ...held.record, launched };
    this.#registry.transaction((writer) => writer.putWorkload(record));
    this.#publish(record);
    this.#changed(held, record);
  }

  /** Takes a workload that ended off the registry; its endpoint is withdrawn at once. Its key ended with its sidecar. */
  remove(id: string, reason: string): void {
    this.#leave(this.#required(id), reason, () => {});
  }

  /** Removes a workload because a person wants it. It cannot register itself anew, and its certificates are refused. */
  revoke(id: string): void {
    const held = this.#required(id);
    const outdated = this.tombstones.outdated();
    const tombstone = this.tombstones.of(held.record);
    this.#leave(held, "a person removed it", (writer) => {
      for (const each of outdated) writer.deleteTombstone(each.id);
      writer.putTombstone(tombstone);
    });
    this.tombstones.add(tombstone, outdated);
    this.emit("revoked", id);
  }

  #leave(held: Held, reason: string, also: (writer: RegistryWriter) => void): void {
    const { id } = held.record;
    const owner = ownerKey(held.record);
    this.#names.leave(owner, this.#isLast(owner), (writer) => {
      writer.deleteWorkload(id);
      also(writer);
    });
    clearTimeout(held.timer);
    this.#workloads.delete(id);
    this.#members.get(owner)?.workloads.delete(id);
    this.#departed.set(id, held.record);
    setTimeout(() => this.#departed.delete(id), departedMs).unref();
    this.#publish({ ...held.record, launched: null });
    this.#refresh(held.record);
    this.#expected.arrived(id);
    this.emit("removed", held.record, reason);
  }

  addEndpoint(input: z.output<typeof registerEndpointSchema>): string {
    if (this.#endpoints.size >= maxEndpoints) throw tooMany(`${maxEndpoints} endpoints are registered`);
    const record: EndpointRecord = { id: freshId("e", (id) => this.#endpoints.has(id)), ...input };
    this.#names.enter(record, (writer) => writer.putEndpoint(record));
    this.#admitEndpoint(record);
    this.#refresh(record);
    return record.id;
  }

  removeEndpoint(id: string): void {
    const record = this.#endpoints.get(id);
    if (record === undefined) throw weftError("WEFT-C-ENDPOINT-UNKNOWN", `No endpoint ${JSON.stringify(id)}.`);
    const owner = ownerKey(record);
    this.#names.leave(owner, this.#isLast(owner), (writer) => writer.deleteEndpoint(id));
    this.#endpoints.delete(id);
    this.#members.get(owner)?.endpoints.delete(id);
    this.#refresh(record);
  }

  /** A sidecar opened its Workload.Watch stream. A newer connection of the same workload replaces the older. */
  connect(id: string, sidecar: SidecarRecord): SidecarConnection {
    const held = this.#required(id);
    clearTimeout(held.timer);
    const connection: SidecarConnection = {
      listening: (ports) => {
        if (held.connection !== connection) return;
        this.#seen(held, { listening: ports });
        this.#expected.arrived(id);
      },
      close: (orderly) => {
        if (held.connection === connection) this.#disconnected(held, orderly);
      },
    };
    Object.assign(held, { connection, state: "live", offered: true });
    this.#seen(held, { sidecar });
    return connection;
  }

  /** Forgets workloads that are not connected and whose launchers are gone: nobody is left to start their sidecars. */
  sweep(): void {
    for (const held of this.#workloads.values()) {
      if (held.connection === undefined && !this.#host.isAlive(held.record.pid)) this.#lost(held);
    }
    this.#expected.sweep();
  }

  /** Writes what was not written yet. Throws when it cannot. */
  save(): void {
    if (this.#unsaved.size === 0) return;
    const records = [...this.#unsaved].flatMap((id) => this.#workloads.get(id)?.record ?? []);
    this.#registry.transaction((writer) => {
      for (const record of records) writer.putWorkload(record);
    });
    this.#unsaved.clear();
  }

  /** Stops every timer: what ends from now on ends because the controller does. */
  close(): void {
    this.#trySave();
    this.#closed = true;
    for (const { timer } of this.#workloads.values()) clearTimeout(timer);
    this.#expected.close();
    this.removeAllListeners();
  }

  #disconnected(held: Held, orderly: boolean): void {
    if (this.#closed || !this.#workloads.has(held.record.id)) return;
    const { graceMs, returnMs } = this.#patience;
    const reason = "its sidecar went away and did not come back";
    Object.assign(held, { connection: undefined, state: "away" });
    const withdraw = () => {
      held.offered = false;
      this.#refresh(held.record);
      this.#expire(held, returnMs - graceMs, reason);
    };
    if (!this.#host.isAlive(held.record.pid)) this.#lost(held);
    else if (orderly) withdraw();
    else this.#after(held, graceMs, withdraw);
  }

  #lost(held: Held): void {
    held.offered = false;
    this.#refresh(held.record);
    this.#expire(held, 0, "its launcher is gone");
  }

  // What a sidecar says matters on disk only after a restart of the controller: it takes effect at once, and is written with what others say in the same
  // turn of the event loop: before anybody who hears of it can ask.
  #seen(held: Held, change: Partial<WorkloadRecord>): void {
    const record = { ...held.record, ...change };
    if (!isDeepStrictEqual(record, held.record)) this.#saveSoon(record.id);
    this.#changed(held, record);
  }

  #saveSoon(id: string): void {
    this.#unsaved.add(id);
    this.#saving ??= setImmediate(() => this.#trySave());
  }

  #trySave(): void {
    clearImmediate(this.#saving);
    this.#saving = undefined;
    try {
      this.save();
    } catch {
      // Whoever watches the state directory tries again.
    }
  }

  #changed(held: Held, record: WorkloadRecord): void {
    held.record = record;
    this.#refresh(record);
    this.emit("workload", record.id);
  }

  #expire(held: Held, ms: number, reason: string): void {
    this.#after(held, ms, () => {
      try {
        this.remove(held.record.id, reason);
      } catch {
        // The registry cannot be written; it will be some time.
        this.#expire(held, Math.max(ms, 1_000), reason);
      }
    });
  }

  #after(held: Held, ms: number, action: () => void): void {
    clearTimeout(held.timer);
    if (!this.#closed) held.timer = setTimeout(action, ms).unref();
  }

  /** Makes a new workload durable, with `address` if that is free. */
  #enter(
    id: string,
    input: Pick<WorkloadRecord, "service" | "namespace" | "command" | "pid" | "publish"> & { ports: PortMapping[] },
    address: string | undefined,
  ): WorkloadRecord {
    if (this.#workloads.size >= maxWorkloads) throw tooMany(`${maxWorkloads} workloads are registered`);
    const taken = new Set([...this.#workloads.values()].map(({ record }) => record.address));
    for (const [owner, kept] of this.#kept) if (owner !== id) taken.add(kept);
    const own =
      address?.startsWith(`${workloadPrefix}.`) && !taken.has(address)
        ? { address, cursor: this.#cursor }
        : allocateAddress(workloadPrefix, this.#cursor, (each) => taken.has(each));
    if (own === undefined) throw weftError("WEFT-C-ADDRESSES-EXHAUSTED", `Every address of ${workloadPrefix}.0.0/16 is in use.`);
    const record: WorkloadRecord = {
      id,
      service: input.service,
      namespace: input.namespace,
      address: own.address,
      declaredPorts: input.ports,
      publish: input.publish,
      command: input.command,
      pid: input.pid,
      registeredAt: Date.now(),
      launched: null,
      sidecar: null,
      listening: null,
    };
    this.#names.enter(record, (writer) => {
      writer.putWorkload(record);
      writer.setCursor("workload", own.cursor);
    });
    this.#cursor = own.cursor;
    const held = this.#admit(record, { state: "starting", offered: false });
    this.#expire(held, this.#patience.connectMs, "its sidecar did not connect");
    this.#refresh(record);
    return record;
  }

  #registered(record: WorkloadRecord): RegisteredWorkload {
    const { id, service, namespace, address, publish } = record;
    const owner = ownerKey(record);
    const { virtualAddress } = this.#names.get(owner) as ServiceRecord;
    return {
      id,
      service,
      namespace,
      address,
      virtualAddress,
      identity: identityOf(record),
      publish,
      siblings: this.workloadCount(owner) - 1,
    };
  }

  /** Keeps a survivor's address, and that of its service, from being given to others, and callers from being told of the service before it is back. */
  #keepFor({ id, service, namespace, address, virtualAddress, pid }: Survivor): void {
    // One that was removed stays with its own address, which leads nowhere any more.
    if (this.#workloads.has(id) || this.tombstones.has(id)) return;
    this.#kept.set(id, address);
    if (virtualAddress !== undefined) this.#names.keep({ namespace, name: service }, virtualAddress);
    const keys = [ownerKey({ namespace, service }), virtualAddress].filter((key) => key !== undefined);
    this.#expected.add(id, pid, keys);
  }

  #admit(record: WorkloadRecord, { state, offered }: Pick<Workload, "state" | "offered">): Held {
    const held: Held = { record, state, offered, timer: undefined, connection: undefined };
    this.#workloads.set(record.id, held);
    this.#membersOf(ownerKey(record)).workloads.add(record.id);
    this.#publish(record);
    return held;
  }

  #admitEndpoint(record: EndpointRecord): void {
    this.#endpoints.set(record.id, record);
    this.#membersOf(ownerKey(record)).endpoints.add(record.id);
  }

  #publish({ id, launched, ...owner }: WorkloadRecord): void {
    for (const port of this.#published.set(id, ownerKey(owner), launched?.published ?? []).keys()) {
      for (const other of this.#published.claimantsOf(port)) {
        const claimant = this.#workloads.get(other);
        if (claimant !== undefined && other !== id) this.emit("changed", other, ownerKey(claimant.record));
      }
    }
  }

  #membersOf(key: string) {
    const members = this.#members.get(key) ?? { workloads: new Set<string>(), endpoints: new Set<string>() };
    this.#members.set(key, members);
    return members;
  }

  #isLast(key: string): boolean {
    const { workloads, endpoints } = this.#membersOf(key);
    return workloads.size + endpoints.size === 1;
  }

  #refresh(member: { id: string; namespace: string; service: string }): void {
    const owner = ownerKey(member);
    const { workloads, endpoints } = this.#membersOf(owner);
    if (workloads.size + endpoints.size === 0) this.#members.delete(owner);
    this.emit("changed", member.id, owner);
  }

  #checkNotRemoved(id: string): void {
    if (!this.tombstones.has(id)) return;
    throw weftError("WEFT-C-WORKLOAD-REMOVED", `Workload ${id} was removed by a person, and does not come back.`);
  }

  #required(id: string): Held {
    this.#checkNotRemoved(id);
    const held = this.#workloads.get(id);
    if (held === undefined) throw weftError("WEFT-C-WORKLOAD-UNKNOWN", `No workload ${JSON.stringify(id)}.`);
    return held;
  }
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

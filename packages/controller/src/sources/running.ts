import { isDeepStrictEqual } from "node:util";
import { resources } from "../graph/lists.ts";
import { placeOf } from "../graph/snapshot.ts";
import type { Mesh } from "../mesh.ts";
import type { Draft, StoredObject } from "../store/store.ts";
import { serviceObject, sliceObject, workloadObject } from "./running-objects.ts";

/** What follows from what runs, at a place of a resource; undefined when that is nothing any more. */
export interface Running {
  resource: string;
  place: string;
  object: StoredObject | undefined;
}

/**
 * Tells what runs as objects: workloads, Services that nobody wrote, and endpoints without a sidecar. They are made from memory, so that a full disk harms
 * nothing that runs. `tell` hears what there is at first and each change, before the change's caller goes on.
 */
export class RunningSource {
  readonly #mesh: Mesh;
  readonly #tell: (running: Running) => void;
  readonly #told = new Map<string, StoredObject>();
  #version = 0;

  constructor(mesh: Mesh, tell: (running: Running) => void) {
    this.#mesh = mesh;
    this.#tell = tell;
    mesh.on("changed", (member, owner) => this.#changed(member, owner));
    for (const owner of mesh.owners()) {
      const { workloads, endpoints } = mesh.members(owner);
      for (const { record } of workloads) this.#changed(record.id, owner);
      for (const { id } of endpoints) this.#changed(id, owner);
    }
  }

  #changed(member: string, owner: string): void {
    const namespace = owner.slice(owner.indexOf(".") + 1);
    const workload = this.#mesh.workload(member);
    const endpoint = this.#mesh.endpoint(member);
    const place = placeOf({ namespace, name: member });
    this.#set(resources.workloads, place, workload && workloadObject(workload, this.#mesh.publishedBy(workload.record)));
    this.#set(resources.endpointSlices, place, endpoint && sliceObject(endpoint));
    const service = serviceObject(owner, this.#mesh.members(owner), this.#mesh.virtualAddress(owner));
    this.#set(resources.services, placeOf({ namespace, name: owner.slice(0, owner.indexOf(".")) }), service);
  }

  #set(resource: string, place: string, draft: Draft | undefined): void {
    const key = `${resource}/${place}`;
    const before = this.#told.get(key);
    if (draft === undefined) {
      if (before === undefined) return;
      this.#told.delete(key);
      this.#tell({ resource, place, object: undefined });
      return;
    }
    if (before !== undefined && isDeepStrictEqual({ ...before, metadata: undefined }, { ...draft, metadata: undefined })) return;
    this.#version += 1;
    const creationTimestamp = before?.metadata.creationTimestamp ?? `${new Date().toISOString().slice(0, 19)}Z`;
    const own = { uid: `running/${key}`, resourceVersion: `r${this.#version}`, generation: this.#version, creationTimestamp };
    const object: StoredObject = { ...draft, metadata: { ...draft.metadata, ...own } };
    this.#told.set(key, object);
    this.#tell({ resource, place, object });
  }
}

import assert from "node:assert/strict";
import { checkObject, kinds } from "@weft/api/kinds";
import type { StoredObject } from "../../store/store.ts";
import type { SourceEvent } from "../events.ts";
import { resources, serviceNameLabel } from "../lists.ts";

/** An object with its resource. */
export interface Item {
  resource: string;
  object: StoredObject;
}

interface Place {
  namespace?: string;
  name: string;
  creationTimestamp?: string;
  generation?: number;
}

/** An object as a store has it: checked, and filled in by defaults. Objects of other content have other versions. */
function item(kindName: string, apiVersion: string, { namespace = "default", name, ...stamp }: Place, body: object, labels?: object): Item {
  const kind = kinds.find((each) => each.kind === kindName);
  const written = { apiVersion, kind: kindName, metadata: { namespace, name, ...(labels === undefined ? {} : { labels }) }, ...body };
  const checked = kind === undefined ? { object: written } : checkObject(written);
  assert.ok(checked.object !== undefined, JSON.stringify("faults" in checked ? checked.faults : ""));
  const group = apiVersion.includes("/") ? `.${apiVersion.split("/")[0]}` : "";
  const own = {
    uid: `${namespace}/${name}`,
    resourceVersion: JSON.stringify([body, stamp]),
    generation: 1,
    creationTimestamp: "2026-11-01T00:00:00Z",
  };
  const metadata = { ...(checked.object.metadata as object), ...own, ...stamp };
  return { resource: `${kindName.toLowerCase()}s${group}`, object: { ...checked.object, metadata } as unknown as StoredObject };
}

export const service = (place: Place, spec: object = { ports: [{ port: 80 }] }) => item("Service", "v1", place, { spec });

export const slice = (of: string, place: Place, body: object) =>
  item("EndpointSlice", "discovery.k8s.io/v1", place, { addressType: "IPv4", ...body }, { [serviceNameLabel]: of });

export const httpRoute = (place: Place, spec: object) => item("HTTPRoute", "gateway.networking.k8s.io/v1", place, { spec });

export const grpcRoute = (place: Place, spec: object) => item("GRPCRoute", "gateway.networking.k8s.io/v1", place, { spec });

/** What runs: live behind a sidecar, unless `status` says otherwise. */
export function workload(place: Place, spec: { service: string }, status: object = {}): Item {
  const live = {
    identity: `spiffe://weft.local/ns/${place.namespace ?? "default"}/sa/${spec.service}`,
    sidecar: { version: "test", inbound: "127.0.0.1:30000", restarts: 0 },
    conditions: [{ type: "Ready", status: "True", reason: "Live", message: "", lastTransitionTime: "2026-11-01T00:00:00Z" }],
  };
  return item("Workload", "weft.dev/v1alpha1", place, { spec, status: JSON.parse(JSON.stringify({ ...live, ...status })) });
}

/** Allows routes of a namespace to refer to Services of another. */
export const grant = (place: Place, from: string, to: object = {}) =>
  item("ReferenceGrant", "gateway.networking.k8s.io/v1", place, {
    spec: {
      from: [{ group: "gateway.networking.k8s.io", kind: "HTTPRoute", namespace: from }],
      to: [{ group: "", kind: "Service", ...to }],
    },
  });

/** What routes call a Service. */
export const to = (name: string, more: object = {}) => ({ group: "", kind: "Service", name, ...more });

export const put = ({ resource, object }: Item): SourceEvent => ({ type: "put", resource, object });
export const remove = ({ resource, object }: Item): SourceEvent => ({ type: "delete", resource, object });

/** A first list of each resource that views read. */
export function listed(items: readonly Item[]): SourceEvent[] {
  return Object.values(resources).map((resource) => ({
    type: "relisted",
    resource,
    objects: items.filter((each) => each.resource === resource).map(({ object }) => object),
  }));
}

import type { EndpointSlice, Workload } from "@weft/api/kinds";
import { resources } from "../lists.ts";
import type { View } from "../view.ts";
import { serviceView } from "./service.ts";
import { sliceEndpoints, sliceFindings } from "./slice-endpoints.ts";
import { workloadEndpoint } from "./workload-endpoints.ts";

/** An instance of a Service. */
export interface ServiceEndpoint {
  /** The same for as long as the instance lives: the uid of its object, else its first address. */
  readonly id: string;
  /** Of both families, where it has them. */
  readonly addresses: readonly string[];
  /** Service ports that it serves, ascending, each with its own port for it. */
  readonly ports: readonly { readonly port: number; readonly targetPort: number }[];
  /** Whether it may be called. */
  readonly ready: boolean;
  /** Whether it answers, even while it ends. */
  readonly serving: boolean;
  readonly terminating: boolean;
  /** Zone in which it runs. */
  readonly zone: string | undefined;
  /** Zones whose callers should prefer it. */
  readonly forZones: readonly string[];
  /** Where its sidecar takes calls, and the SPIFFE ID that it must prove; absent without one, when it is called at its own ports in clear. */
  readonly sidecar?: { readonly address: string; readonly port: number; readonly identity: string };
}

/** Instances of a Service, by id: what runs behind sidecars, and what EndpointSlices say, which are Kubernetes', Weft's own or people's. */
export const endpointsView: View<readonly ServiceEndpoint[]> = {
  name: "endpoints",
  make(reader, key) {
    const service = reader.view(serviceView, key);
    if (service === undefined) return { value: undefined, findings: [] };
    const slices = reader.list(resources.endpointSlices, key);
    const endpoints = new Map<string, ServiceEndpoint>();
    const workloads = reader.list(resources.workloads, key);
    const all = [
      ...workloads.flatMap((workload) => workloadEndpoint(workload as unknown as Workload, service.ports) ?? []),
      ...slices.flatMap((slice) => sliceEndpoints(slice as unknown as EndpointSlice, service.ports)),
    ];
    for (const endpoint of all) {
      const known = endpoints.get(endpoint.id);
      endpoints.set(endpoint.id, known === undefined ? endpoint : merge(known, endpoint));
    }
    const value = [...endpoints.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
    return { value, findings: slices.flatMap((slice) => sliceFindings(slice, service.ports)) };
  },
};

// An instance is in one slice for each family, and for a moment in two while it is moved from one to another: what one of them knows holds.
function merge(a: ServiceEndpoint, b: ServiceEndpoint): ServiceEndpoint {
  const added = b.ports.filter(({ port }) => a.ports.every((each) => each.port !== port));
  return {
    id: a.id,
    addresses: [...new Set([...a.addresses, ...b.addresses])],
    ports: [...a.ports, ...added].sort((x, y) => x.port - y.port),
    ready: a.ready || b.ready,
    serving: a.serving || b.serving,
    terminating: a.terminating || b.terminating,
    zone: a.zone ?? b.zone,
    forZones: [...new Set([...a.forZones, ...b.forZones])].sort(),
  };
}

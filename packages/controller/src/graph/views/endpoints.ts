import type { EndpointSlice } from "@weft/api/kinds";
import type { StoredObject } from "../../store/store.ts";
import { resources } from "../lists.ts";
import type { Finding, View } from "../view.ts";
import { type ServicePort, serviceView } from "./service.ts";

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
}

/** Instances of a Service, by id; its EndpointSlices are Kubernetes', Weft's own or people's. */
export const endpointsView: View<readonly ServiceEndpoint[]> = {
  name: "endpoints",
  make(reader, key) {
    const service = reader.view(serviceView, key);
    if (service === undefined) return { value: undefined, findings: [] };
    const slices = reader.list(resources.endpointSlices, key);
    const endpoints = new Map<string, ServiceEndpoint>();
    for (const endpoint of slices.flatMap((slice) => endpointsOf(slice as unknown as EndpointSlice, service.ports))) {
      const known = endpoints.get(endpoint.id);
      endpoints.set(endpoint.id, known === undefined ? endpoint : merge(known, endpoint));
    }
    const value = [...endpoints.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
    return { value, findings: slices.flatMap((slice) => findingsOf(slice, service.ports)) };
  },
};

function endpointsOf({ addressType, endpoints = [], ...slice }: EndpointSlice, servicePorts: readonly ServicePort[]): ServiceEndpoint[] {
  if (addressType === "FQDN") return [];
  const ports = portsOf(slice.ports ?? [], servicePorts);
  return endpoints.map(({ addresses, conditions, targetRef, zone, hints }) => {
    const ready = conditions?.ready ?? true;
    return {
      id: targetRef?.uid ?? addresses[0] ?? "",
      addresses,
      ports,
      ready,
      serving: conditions?.serving ?? ready,
      terminating: conditions?.terminating ?? false,
      zone,
      forZones: (hints?.forZones ?? []).map(({ name }) => name).sort(),
    };
  });
}

function portsOf(slicePorts: NonNullable<EndpointSlice["ports"]>, servicePorts: readonly ServicePort[]): ServiceEndpoint["ports"] {
  return servicePorts.flatMap(({ port, name }) => {
    const own = slicePorts.find((each) => each.protocol === "TCP" && each.name === name);
    return own?.port === undefined ? [] : [{ port, targetPort: own.port }];
  });
}

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

function findingsOf(object: StoredObject, servicePorts: readonly ServicePort[]): Finding[] {
  const { addressType, endpoints = [], ports = [] } = object as unknown as EndpointSlice;
  const { namespace = "", name } = object.metadata;
  const finding = (path: string, reason: string, message: string): Finding => ({
    object: { resource: resources.endpointSlices, namespace, name },
    path,
    reason,
    message,
  });
  if (addressType === "FQDN")
    return [finding("addressType", "NotYet", "Endpoints that are names are not called yet: write a slice of IP addresses.")];
  if (endpoints.length === 0 || portsOf(ports, servicePorts).length > 0) return [];
  const wanted = servicePorts.map((each) => (each.name === "" ? `${each.port}, without a name` : each.name)).join("; ") || "none over TCP";
  const message = `No port of the slice serves one of its Service, so nobody calls its endpoints. The Service's ports are: ${wanted}.`;
  return [finding("ports", "NoMatchingPort", message)];
}

import type { EndpointSlice } from "@weft/api/kinds";
import type { StoredObject } from "../../store/store.ts";
import { resources } from "../lists.ts";
import type { Finding } from "../view.ts";
import type { ServiceEndpoint } from "./endpoints.ts";
import type { ServicePort } from "./service.ts";

/** Endpoints of a slice. */
export function sliceEndpoints(
  { addressType, endpoints = [], ...slice }: EndpointSlice,
  servicePorts: readonly ServicePort[],
): ServiceEndpoint[] {
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

/** What there is to say of a slice. */
export function sliceFindings(object: StoredObject, servicePorts: readonly ServicePort[]): Finding[] {
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

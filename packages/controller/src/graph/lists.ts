import type { GrpcRoute, HttpRoute, Service, Workload } from "@weft/api/kinds";
import type { StoredObject } from "../store/store.ts";
import { canonicalName, publishedAddress } from "./names.ts";

/** Resources that views read. */
export const resources = {
  services: "services",
  endpointSlices: "endpointslices.discovery.k8s.io",
  httpRoutes: "httproutes.gateway.networking.k8s.io",
  grpcRoutes: "grpcroutes.gateway.networking.k8s.io",
  referenceGrants: "referencegrants.gateway.networking.k8s.io",
  workloads: "workloads.weft.dev",
} as const;

/** Label by which an EndpointSlice names its Service. */
export const serviceNameLabel = "kubernetes.io/service-name";

const listers: Readonly<Record<string, (object: StoredObject) => string[]>> = {
  [resources.services]: addressesOf,
  [resources.endpointSlices]: ({ metadata }) => {
    const service = (metadata.labels as Record<string, string> | undefined)?.[serviceNameLabel];
    return service === undefined ? [] : [canonicalName(metadata.namespace ?? "", service)];
  },
  [resources.httpRoutes]: parentServices,
  [resources.grpcRoutes]: parentServices,
  [resources.referenceGrants]: ({ metadata: { namespace = "" } }) => [namespace],
  [resources.workloads]: (object) => {
    const { spec, status } = object as unknown as Workload;
    return [canonicalName(object.metadata.namespace ?? "", spec.service), ...(status?.published ?? []).map(publishedAddress)];
  },
};

/** A Service's own addresses, the first of which is used. */
export function addressesOf(object: StoredObject): string[] {
  const { spec } = object as unknown as Service;
  return (spec.clusterIPs ?? [spec.clusterIP ?? ""]).filter((address) => address !== "" && address !== "None");
}

/** What a route attaches itself to. */
export const parentsOf = (route: StoredObject) => (route as unknown as HttpRoute | GrpcRoute).spec.parentRefs ?? [];

/** Whether a reference is to a Service. */
export const isService = ({ group, kind }: { group: string; kind: string }) => group === "" && kind === "Service";

function parentServices(object: StoredObject): string[] {
  const own = object.metadata.namespace ?? "";
  const parents = parentsOf(object).filter(isService);
  return [...new Set(parents.map(({ namespace = own, name }) => canonicalName(namespace, name)))];
}

/** What an object is about: slices, routes and workloads are listed by the Services that they are for, workloads by the ports that they published too, Services by their addresses, grants by their namespace. */
export function listsOf(resource: string, object: StoredObject | undefined): string[] {
  return object === undefined ? [] : (listers[resource]?.(object) ?? []);
}

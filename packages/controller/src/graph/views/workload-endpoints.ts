import type { Workload } from "@weft/api/kinds";
import type { ServiceEndpoint } from "./endpoints.ts";
import type { ServicePort } from "./service.ts";

type Mapping = NonNullable<NonNullable<Workload["status"]>["ports"]>[number];

/** The endpoint of a workload, with the Service's ports that its program answers; undefined before its sidecar told where it is, or when it answers none. */
export function workloadEndpoint({ metadata, status = {} }: Workload, servicePorts: readonly ServicePort[]): ServiceEndpoint | undefined {
  const { sidecar, identity, redirection, listening, conditions = [] } = status;
  if (sidecar === undefined || identity === undefined) return undefined;
  // Without a network namespace of its own a program's ports cannot be told from other programs', so declared ones are taken at their word.
  const isServed = (port: number) => listening?.includes(port) ?? redirection?.way === "proxy";
  const served = (status.ports ?? []).filter(({ targetPort }) => isServed(targetPort));
  const ports = servicePorts.flatMap((port) => targetOf(port, served) ?? []);
  if (ports.length === 0) return undefined;
  const ready = conditions.some(({ type, status: holds }) => type === "Ready" && holds === "True");
  const colon = sidecar.inbound.lastIndexOf(":");
  const address = sidecar.inbound.slice(0, colon).replace(/^\[|\]$/g, "");
  return {
    id: metadata.name,
    addresses: [address],
    ports,
    ready,
    serving: ready,
    terminating: false,
    zone: undefined,
    forZones: [],
    sidecar: { address, port: Number(sidecar.inbound.slice(colon + 1)), identity },
  };
}

// A Service that names the program's port means that one, whatever the workload says it is called by.
function targetOf({ port, targetPort }: ServicePort, served: readonly Mapping[]): ServiceEndpoint["ports"][number] | undefined {
  const own = served.find((each) => (targetPort === undefined ? each.servicePort === port : each.targetPort === targetPort));
  return own === undefined ? undefined : { port, targetPort: own.targetPort };
}

import type { Endpoint, PortMapping, Protocol } from "@weft/api";
import { type EndpointRecord, identityOf, type ServiceRecord, type WorkloadRecord } from "./records.ts";

/** Whether a workload may be called: `offered` while its sidecar is connected or may be back in a moment. */
export interface WorkloadState {
  record: WorkloadRecord;
  offered: boolean;
}

/** What callers see of a service. */
export interface ServiceView {
  namespace: string;
  name: string;
  virtualAddress: string;
  /** Ascending. */
  ports: { port: number; protocol?: Protocol | undefined }[];
  /** By id, ascending. */
  endpoints: Endpoint[];
}

/** Ports that a workload serves: as declared, else what its program listens on, and 80 too when that is a single port. */
export function effectivePorts({ declaredPorts, listening }: Pick<WorkloadRecord, "declaredPorts" | "listening">): PortMapping[] {
  if (declaredPorts.length > 0) return declaredPorts;
  const ports = (listening ?? []).map((port) => ({ servicePort: port, targetPort: port }));
  const [only, second] = ports;
  if (only === undefined || second !== undefined || only.targetPort === 80) return ports;
  return [{ servicePort: 80, targetPort: only.targetPort }, only];
}

/** Service ports that are opened on the host too: "--port 8080" serves 80 and 8080, of which people want 8080 there. */
export function publishedPorts(ports: { servicePort: number; targetPort: number }[]): number[] {
  const same = ports.filter(({ servicePort, targetPort }) => servicePort === targetPort);
  return (same.length > 0 ? same : ports).map(({ servicePort }) => servicePort);
}

/** The endpoint of a workload, with the ports on which its program listens; undefined when it cannot be called. */
export function workloadEndpoint({ record, offered }: WorkloadState): Endpoint | undefined {
  if (!offered || record.sidecar === null) return undefined;
  const ports = effectivePorts(record)
    .filter(({ targetPort }) => listens(record, targetPort))
    .map(({ servicePort, targetPort }) => ({ servicePort, targetPort }));
  if (ports.length === 0) return undefined;
  const { inboundAddress: address, inboundPort } = record.sidecar;
  return { id: record.id, address, inboundPort, identity: identityOf(record), ports };
}

// Without a network namespace of its own a program's ports cannot be told from other programs', so declared ones are taken at their word.
function listens(record: WorkloadRecord, port: number): boolean {
  return record.listening?.includes(port) ?? record.launched?.redirection === "proxy";
}

/** What stands behind a name; undefined when no such service exists. */
export function viewService(service: ServiceRecord, workloads: WorkloadState[], plain: EndpointRecord[]): ServiceView | undefined {
  const declared = [...workloads.flatMap(({ record }) => effectivePorts(record)), ...plain.flatMap(({ ports }) => ports)];
  if (declared.length === 0) return undefined;
  const withSidecar = workloads.map(workloadEndpoint).filter((endpoint) => endpoint !== undefined);
  const without = plain.map(({ id, address, ports }) => ({
    id,
    address,
    inboundPort: 0,
    identity: "",
    ports: ports.map(({ servicePort, targetPort }) => ({ servicePort, targetPort })),
  }));
  return {
    namespace: service.namespace,
    name: service.name,
    virtualAddress: service.virtualAddress,
    ports: servicePorts(declared),
    endpoints: [...withSidecar, ...without].sort((a, b) => (a.id < b.id ? -1 : 1)),
  };
}

// Instances that declare different protocols for a port leave it to detection.
function servicePorts(declared: PortMapping[]): ServiceView["ports"] {
  const protocols = new Map<number, Set<Protocol>>();
  for (const { servicePort, protocol } of declared) {
    const known = protocols.get(servicePort) ?? new Set();
    if (protocol !== undefined) known.add(protocol);
    protocols.set(servicePort, known);
  }
  return [...protocols]
    .sort(([a], [b]) => a - b)
    .map(([port, known]) => {
      const [protocol] = known;
      return known.size === 1 && protocol !== undefined ? { port, protocol } : { port };
    });
}

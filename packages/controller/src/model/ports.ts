import type { PortMapping, Protocol } from "@weft/api";
import type { WorkloadRecord } from "./records.ts";

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

/** Ports of a service, ascending, by what its instances declare. Those that declare different protocols for a port leave it to detection. */
export function servicePorts(declared: readonly PortMapping[]): { port: number; protocol?: Protocol }[] {
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

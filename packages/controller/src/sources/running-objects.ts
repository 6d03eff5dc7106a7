import { isIPv6 } from "node:net";
import type { Protocol } from "@weft/api";
import { serviceNameLabel } from "../graph/lists.ts";
import { serviceOf } from "../graph/names.ts";
import type { Members, Workload } from "../mesh.ts";
import { effectivePorts, servicePorts } from "../model/ports.ts";
import { type EndpointRecord, identityOf } from "../model/records.ts";
import type { Draft } from "../store/store.ts";
import { managedLabel, manager } from "./managed.ts";

const labels = { [managedLabel]: manager };
const rfc3339 = (ms: number) => new Date(ms).toISOString();

/** What runs, as the resource that people read. `published` are ports that its service has on the host's loopback. */
export function workloadObject({ record, state, offered }: Workload, published: readonly number[]): Draft {
  const { id, namespace, service, command, declaredPorts, publish, registeredAt, address, launched, sidecar, listening, pid } = record;
  const ready = { type: "Ready", lastTransitionTime: rfc3339(registeredAt) };
  return {
    apiVersion: "weft.dev/v1alpha1",
    kind: "Workload",
    metadata: { name: id, namespace },
    spec: { service, command, ...(declaredPorts.length > 0 ? { ports: declaredPorts } : {}), ...(publish?.length > 0 ? { publish } : {}) },
    status: {
      state: { starting: "Starting", live: "Live", away: "Away" }[state],
      registeredAt: rfc3339(registeredAt),
      address,
      identity: identityOf(record),
      ports: effectivePorts(record),
      ...(listening === null ? {} : { listening }),
      published,
      launcherPid: pid,
      ...(launched === null ? {} : { redirection: { way: launched.redirection, reason: launched.reason }, programPid: launched.pid }),
      ...(sidecar === null ? {} : { sidecar: sidecarOf(sidecar, launched) }),
      conditions: [
        offered && sidecar !== null
          ? { ...ready, status: "True", reason: "Reachable", message: "Its sidecar is connected, or may be back in a moment." }
          : { ...ready, status: "False", reason: state === "starting" ? "Starting" : "Away", message: "Its sidecar is not connected." },
      ],
    },
  };
}

function sidecarOf(sidecar: NonNullable<Workload["record"]["sidecar"]>, launched: Workload["record"]["launched"]) {
  const { version, inboundAddress, inboundPort, adminAddress } = sidecar;
  const host = isIPv6(inboundAddress) ? `[${inboundAddress}]` : inboundAddress;
  const end = launched?.lastEnd ?? null;
  return {
    version,
    inbound: `${host}:${inboundPort}`,
    admin: adminAddress,
    restarts: launched?.restarts ?? 0,
    ...(end === null ? {} : { lastEnd: { reason: end.reason, at: rfc3339(end.atMs) } }),
  };
}

const appProtocols: Readonly<Record<Protocol, string>> = { http1: "http", http2: "kubernetes.io/h2c", tcp: "tcp" };

/** Name of a port of a Service that nobody wrote. */
const portName = (port: number) => `port-${port}`;

/** The Service that stands for what runs under a name that nobody wrote a Service for; undefined while nothing is known that it could be called at. */
export function serviceObject(key: string, { workloads, endpoints }: Members, virtualAddress: string | undefined): Draft | undefined {
  const ports = servicePorts([...workloads.flatMap(({ record }) => effectivePorts(record)), ...endpoints.flatMap((each) => each.ports)]);
  if (ports.length === 0 || virtualAddress === undefined) return undefined;
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { ...serviceOf(key), labels },
    spec: {
      type: "ClusterIP",
      sessionAffinity: "None",
      clusterIP: virtualAddress,
      clusterIPs: [virtualAddress],
      ports: ports.map(({ port, protocol }) => ({
        name: portName(port),
        protocol: "TCP",
        port,
        ...(protocol === undefined ? {} : { appProtocol: appProtocols[protocol] }),
      })),
    },
  };
}

/** An endpoint without a sidecar, as a slice of its own. */
export function sliceObject({ id, namespace, service, address, ports }: EndpointRecord): Draft {
  return {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: { name: id, namespace, labels: { ...labels, [serviceNameLabel]: service } },
    addressType: isIPv6(address) ? "IPv6" : "IPv4",
    endpoints: [{ addresses: [address], targetRef: { uid: id } }],
    ports: ports.map(({ servicePort, targetPort }) => ({ name: portName(servicePort), protocol: "TCP", port: targetPort })),
  };
}

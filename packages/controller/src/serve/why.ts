import { anonymous, nearest, type SidecarDescription, type SidecarError, WeftError, type Why, type WhyEnd, type Workload } from "@weft/api";
import { type Description, EndpointState, type HeldEndpoint, type HeldError } from "@weft/api/proto";
import { endpointsView } from "../graph/views/endpoints.ts";
import { ownerKey, serviceKey } from "../model/records.ts";
import { apiProtocol } from "../protocols.ts";
import { endpointsVersion } from "../translate/resource.ts";
import type { Services } from "./services.ts";
import type { Snapshot } from "./snapshot.ts";

const maxDescribed = 16;
const windowSeconds = 60;

/** What is known of the calls from one service to another: registry, sidecars on both sides, numbers of the last minute. */
export async function explain(services: Services, snapshot: Snapshot, { from, to }: { from: string; to: string }): Promise<Why> {
  const { mesh, telemetry, inspections } = services;
  const known = [...new Set([...snapshot.services().map(serviceKey), ...mesh.workloads().map(({ record }) => ownerKey(record))])];
  const endOf = async (name: string, asked: string): Promise<WhyEnd> => {
    const all = snapshot
      .workloads()
      .filter((workload) => (name === anonymous ? isPublished(workload, asked) : ownerKey(workload) === name));
    const workloads = all.slice(0, maxDescribed).map(async (workload) => {
      try {
        return { ...workload, description: describe(await inspections.describe(workload.id, asked)), silence: null };
      } catch (error) {
        if (!(error instanceof WeftError)) throw error;
        return { ...workload, description: null, silence: { code: error.code, message: error.message } };
      }
    });
    const service = snapshot.services().find((each) => serviceKey(each) === name) ?? null;
    return {
      name,
      service,
      workloads: await Promise.all(workloads),
      workloadCount: all.length,
      nearest: name === anonymous || known.includes(name) ? null : nearestKey(name, known),
    };
  };
  const nowMs = Date.now();
  const [caller, called] = await Promise.all([endOf(from, to), endOf(to, "")]);
  const { rows } = await telemetry.edges({ window: windowSeconds, nowMs, from, to });
  return { nowMs, from: caller, to: called, version: versionOf(services, to), edges: rows };
}

function versionOf({ flow: { graph } }: Services, service: string): string | null {
  const { value } = graph.want(endpointsView, service);
  graph.release(endpointsView, service);
  return value === undefined ? null : endpointsVersion(value);
}

// Anonymous callers come in by the sidecars that open a port of the called on the host.
function isPublished(workload: Workload, service: string): boolean {
  return ownerKey(workload) === service && workload.published.length > 0;
}

// Of the same namespace: its name would make every other one near.
function nearestKey(key: string, known: string[]): string | null {
  const end = key.slice(key.lastIndexOf("."));
  const names = known.filter((each) => each.endsWith(end)).map((each) => each.slice(0, -end.length));
  const meant = nearest(key.slice(0, -end.length), names);
  return meant === undefined ? null : meant + end;
}

/** What a sidecar says of itself, as the HTTP API tells it. */
export function describe(description: Description): SidecarDescription {
  return {
    version: description.version,
    identity: description.identity,
    certificateNotAfter: Number(description.certificateNotAfter),
    services: description.services.map((service) => ({
      alias: service.alias,
      name: service.name,
      version: service.version,
      virtualAddress: service.virtualAddress,
      ports: service.ports.map(({ port, protocol }) => ({ port, ...declared(protocol) })),
      learned: service.learned.map(({ port, serverFirst }) => ({ port, serverFirst })),
      endpoints: service.endpoints.map(endpointOf),
      routes: service.routes.map(({ port, name, version, routes }) => ({ port, name, version, routes })),
    })),
    ports: description.ports.map(({ port, servicePorts, protocol, listening }) => ({
      port,
      servicePorts,
      ...declared(protocol),
      listening,
    })),
    errors: description.errors.map(errorOf),
  };
}

const states: Record<EndpointState, SidecarDescription["services"][number]["endpoints"][number]["state"]> = {
  [EndpointState.UNSPECIFIED]: "unknown",
  [EndpointState.NEW]: "new",
  [EndpointState.ANSWERING]: "answering",
  [EndpointState.SILENT]: "silent",
  [EndpointState.UNREACHABLE]: "unreachable",
};

function endpointOf(endpoint: HeldEndpoint): SidecarDescription["services"][number]["endpoints"][number] {
  return {
    id: endpoint.id,
    address: endpoint.address,
    identity: endpoint.identity,
    state: states[endpoint.state] ?? "unknown",
    pending: endpoint.pending,
    latencyMs: endpoint.latencyUs === 0n ? null : Number(endpoint.latencyUs) / 1000,
    failures: endpoint.failures,
    connections: endpoint.idleConnections + endpoint.http2Connections,
    lastError: endpoint.lastError === undefined ? null : errorOf(endpoint.lastError),
    answeredMsAgo: endpoint.answeredMsAgo === undefined ? null : Number(endpoint.answeredMsAgo),
  };
}

function errorOf({ code, message, peer, count, lastMs }: HeldError): SidecarError {
  return { code, message, peer, count: Number(count), lastMs: Number(lastMs) };
}

function declared(wire: Parameters<typeof apiProtocol>[0]) {
  const protocol = apiProtocol(wire);
  return protocol === "unknown" ? {} : { protocol };
}

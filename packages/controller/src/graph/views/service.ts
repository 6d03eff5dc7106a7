import type { Protocol } from "@weft/api";
import type { Service } from "@weft/api/kinds";
import { addressesOf, resources } from "../lists.ts";
import { serviceOf } from "../names.ts";
import type { Finding, View } from "../view.ts";

/** A port that callers use. */
export interface ServicePort {
  readonly port: number;
  /** Empty when it has none. */
  readonly name: string;
  /** What is spoken there; undefined when the first bytes decide. */
  readonly protocol: Protocol | undefined;
  /** Port of its instances, where it names one by number. */
  readonly targetPort?: number;
}

/** What callers see of a Service. */
export interface ServiceValue {
  readonly namespace: string;
  readonly name: string;
  /** Its own addresses, the first of which is used. None for a Service without one. */
  readonly addresses: readonly string[];
  /** Ascending. */
  readonly ports: readonly ServicePort[];
}

/** A Service by its canonical name. */
export const serviceView: View<ServiceValue> = {
  name: "service",
  make(reader, key) {
    const id = serviceOf(key);
    const object = reader.get({ resource: resources.services, ...id });
    if (object === undefined) return { value: undefined, findings: [] };
    const { spec } = object as unknown as Service;
    const finding = (path: string, message: string): Finding => ({
      object: { resource: resources.services, ...id },
      path,
      reason: "NotYet",
      message,
    });
    if (spec.type === "ExternalName") {
      const message = `${key} stands for ${spec.externalName}; calls by such a name are not carried yet. Call that name itself.`;
      return { value: { ...id, addresses: [], ports: [] }, findings: [finding("spec.type", message)] };
    }
    const all = spec.ports ?? [];
    const ports = all
      .filter(({ protocol }) => protocol === "TCP")
      .map(({ port, name = "", appProtocol, targetPort }) => ({
        port,
        name,
        protocol: protocolOf(name, appProtocol),
        ...(typeof targetPort === "number" && targetPort > 0 ? { targetPort } : {}),
      }))
      .sort((a, b) => a.port - b.port);
    const findings = all.flatMap(({ port, protocol }, index) =>
      protocol === "TCP" ? [] : [finding(`spec.ports[${index}]`, `Port ${port} is ${protocol}, which sidecars do not carry yet.`)],
    );
    if (spec.sessionAffinity === "ClientIP")
      findings.push(finding("spec.sessionAffinity", "Clients are not kept to one instance yet: calls are balanced."));
    if (spec.internalTrafficPolicy === "Local")
      findings.push(finding("spec.internalTrafficPolicy", "Calls are not kept on the caller's node yet: all instances are called."));
    return { value: { ...id, addresses: addressesOf(object), ports }, findings };
  },
};

const protocols: Readonly<Record<string, Protocol>> = {
  http: "http1",
  "kubernetes.io/ws": "http1",
  http2: "http2",
  h2c: "http2",
  "kubernetes.io/h2c": "http2",
  grpc: "http2",
  https: "tcp",
  tls: "tcp",
  "kubernetes.io/wss": "tcp",
  tcp: "tcp",
};

/** What a port speaks: what `appProtocol` says, else what its name begins with (`http-metrics`). Words that mean nothing here leave it to detection. */
function protocolOf(name: string, appProtocol: string | undefined): Protocol | undefined {
  const word = appProtocol?.toLowerCase() ?? name.split("-")[0] ?? "";
  return Object.hasOwn(protocols, word) ? protocols[word] : undefined;
}

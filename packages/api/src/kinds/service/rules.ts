import { type Rule, rule } from "../kind.ts";
import type { ServiceSpec } from "./schema.ts";

type Port = NonNullable<ServiceSpec["ports"]>[number];

const differ = (keys: string[]) => new Set(keys).size === keys.length;
const isOnNodes = ({ type }: ServiceSpec) => type === "NodePort" || type === "LoadBalancer";

/** What must hold of Services beyond their fields' types. */
export const rules: Rule[] = [
  rule<ServiceSpec>("spec", {
    cause: "ports are missing",
    remedy: "Add at least one, or clusterIP: None for a Service without an address of its own",
    holds: ({ type, clusterIP, ports = [] }) => ports.length > 0 || type === "ExternalName" || clusterIP === "None",
  }),
  rule<Port[]>("spec.ports", {
    cause: "one of several ports has no name",
    remedy: "Give each its name",
    holds: (ports) => ports.length < 2 || ports.every(({ name }) => name !== undefined),
  }),
  rule<Port[]>("spec.ports", {
    cause: "two ports have the same name",
    remedy: "Names of ports differ",
    holds: (ports) => differ(ports.flatMap(({ name }) => name ?? [])),
  }),
  rule<Port[]>("spec.ports", {
    cause: "two ports have the same number and protocol",
    remedy: "Leave one out",
    holds: (ports) => differ(ports.map(({ port, protocol }) => `${port}/${protocol}`)),
  }),
  rule<ServiceSpec>("spec", {
    field: "ports",
    cause: "a nodePort is set, and type is neither NodePort nor LoadBalancer",
    remedy: "Leave nodePort out, or set type: NodePort",
    holds: (spec) => isOnNodes(spec) || (spec.ports ?? []).every(({ nodePort }) => !nodePort),
  }),
  rule<ServiceSpec>("spec", {
    field: "externalName",
    cause: "type is ExternalName, but externalName is missing",
    remedy: "Add externalName, the name that the Service stands for",
    holds: ({ type, externalName }) => type !== "ExternalName" || externalName !== undefined,
  }),
  rule<ServiceSpec>("spec", {
    field: "clusterIP",
    cause: "an ExternalName has no address of its own",
    remedy: "Leave clusterIP out",
    holds: ({ type, clusterIP = "", clusterIPs = [] }) => type !== "ExternalName" || (clusterIP === "" && clusterIPs.length === 0),
  }),
  rule<ServiceSpec>("spec", {
    field: "clusterIP",
    cause: "type needs an address, but clusterIP is None",
    remedy: "Leave clusterIP out, or set type: ClusterIP",
    holds: (spec) => spec.clusterIP !== "None" || !isOnNodes(spec),
  }),
  rule<ServiceSpec>("spec", {
    field: "clusterIPs",
    cause: "clusterIP is not the first of clusterIPs",
    remedy: "Make them the same, or leave clusterIPs out",
    holds: ({ clusterIP, clusterIPs }) => clusterIPs === undefined || clusterIPs.length === 0 || clusterIPs[0] === clusterIP,
  }),
  rule<ServiceSpec>("spec", {
    field: "externalTrafficPolicy",
    cause: "externalTrafficPolicy is set, but nothing comes from outside",
    remedy: "Leave it out, or set type: NodePort or LoadBalancer",
    holds: (spec) => spec.externalTrafficPolicy === undefined || isOnNodes(spec) || (spec.externalIPs ?? []).length > 0,
  }),
  rule<ServiceSpec>("spec", {
    field: "healthCheckNodePort",
    cause: "healthCheckNodePort is only for type LoadBalancer with externalTrafficPolicy: Local",
    remedy: "Leave it out",
    holds: ({ type, externalTrafficPolicy, healthCheckNodePort }) =>
      !healthCheckNodePort || (type === "LoadBalancer" && externalTrafficPolicy === "Local"),
  }),
  ...(["loadBalancerClass", "loadBalancerSourceRanges", "allocateLoadBalancerNodePorts"] as const).map((field) =>
    rule<ServiceSpec>("spec", {
      field,
      cause: `${field} is only for type LoadBalancer`,
      remedy: "Leave it out, or set type: LoadBalancer",
      holds: (spec) => spec[field] === undefined || spec.type === "LoadBalancer",
    }),
  ),
  rule<ServiceSpec>("spec", {
    field: "sessionAffinityConfig",
    cause: "sessionAffinityConfig is set, but sessionAffinity is None",
    remedy: "Leave it out, or set sessionAffinity: ClientIP",
    holds: ({ sessionAffinity, sessionAffinityConfig }) => sessionAffinityConfig === undefined || sessionAffinity === "ClientIP",
  }),
];

import { isSpecialAddress } from "../common/addresses.ts";
import { dnsSubdomain } from "../common/scalars.ts";
import { type Rule, rule } from "../kind.ts";
import type { ServiceSpec } from "./schema.ts";

type Port = NonNullable<ServiceSpec["ports"]>[number];

const differ = (keys: string[]) => new Set(keys).size === keys.length;
const isEmpty = (value: unknown) => Array.isArray(value) && value.length === 0;
const isIpv6 = (address: string) => address.includes(":");
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
    cause: "a nodePort is set, and type is ClusterIP",
    remedy: "Leave nodePort out, or set type: NodePort",
    holds: ({ type, ports = [] }) => type !== "ClusterIP" || ports.every(({ nodePort }) => !nodePort),
  }),
  rule<Port[]>("spec.ports", {
    cause: "two ports have the same nodePort and protocol",
    remedy: "Leave one nodePort out: a free one is chosen",
    holds: (ports) => differ(ports.flatMap(({ nodePort, protocol }) => (nodePort ? `${nodePort}/${protocol}` : []))),
  }),
  rule<ServiceSpec>("spec", {
    field: "externalName",
    cause: "type is ExternalName, but externalName is no DNS name",
    remedy: "Write the name that the Service stands for, such as users.example.com",
    holds: ({ type, externalName = "" }) => type !== "ExternalName" || dnsSubdomain.safeParse(externalName.replace(/\.$/, "")).success,
  }),
  rule<ServiceSpec>("spec", {
    field: "ipFamilies",
    cause: "an ExternalName has no address, so it has no families either",
    remedy: "Leave ipFamilies and ipFamilyPolicy out",
    holds: ({ type, ipFamilies = [], ipFamilyPolicy }) =>
      type !== "ExternalName" || (ipFamilies.length === 0 && ipFamilyPolicy === undefined),
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
    holds: ({ type, clusterIP, clusterIPs }) =>
      type === "ExternalName" || clusterIPs === undefined || clusterIPs.length === 0 || clusterIPs[0] === clusterIP,
  }),
  rule<ServiceSpec>("spec", {
    field: "clusterIPs",
    cause: "None is not the only one of clusterIPs, or both addresses are of one family",
    remedy: "Write None alone, or an address of each family",
    holds: ({ type, clusterIPs: [first, second] = [] }) =>
      type === "ExternalName" || second === undefined || (first !== "None" && second !== "None" && isIpv6(first ?? "") !== isIpv6(second)),
  }),
  rule<ServiceSpec>("spec", {
    field: "ipFamilies",
    cause: "a family is there twice, or the addresses are not of these families",
    remedy: "Write the families in order of clusterIPs, or leave them out",
    holds: ({ type, clusterIP, clusterIPs, ipFamilies = [] }) => {
      const addresses = clusterIPs ?? (clusterIP ? [clusterIP] : []);
      if (type === "ExternalName" || !differ(ipFamilies)) return type === "ExternalName";
      return (
        addresses[0] === "None" ||
        ipFamilies.every((family, index) => !addresses[index] || isIpv6(addresses[index]) === (family === "IPv6"))
      );
    },
  }),
  rule<string>("spec.externalIPs[]", {
    cause: "it is a loopback, link-local or unspecified address",
    remedy: "Name an address that callers from outside reach",
    holds: (address) => !isSpecialAddress(address),
  }),
  rule<ServiceSpec>("spec", {
    field: "externalTrafficPolicy",
    cause: "externalTrafficPolicy is set, but nothing comes from outside",
    remedy: "Leave it out, or set type: NodePort or LoadBalancer",
    holds: (spec) =>
      spec.externalTrafficPolicy === undefined || isOnNodes(spec) || (spec.type === "ClusterIP" && (spec.externalIPs ?? []).length > 0),
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
      holds: (spec) => spec[field] === undefined || spec.type === "LoadBalancer" || isEmpty(spec[field]),
    }),
  ),
  rule<ServiceSpec>("spec", {
    field: "sessionAffinityConfig",
    warning: true,
    cause: "sessionAffinityConfig is ignored, since sessionAffinity is None",
    remedy: "Leave it out, or set sessionAffinity: ClientIP",
    holds: ({ sessionAffinity, sessionAffinityConfig }) => sessionAffinityConfig === undefined || sessionAffinity === "ClientIP",
  }),
];

import { z } from "zod";
import { dnsSubdomain } from "../common/scalars.ts";
import { type Rule, rule } from "../kind.ts";
import type { AddressType, SliceEndpoint, SlicePort } from "./schema.ts";

interface Slice {
  addressType: AddressType;
  endpoints?: SliceEndpoint[];
}

const forms: Record<AddressType, z.ZodType> = { IPv4: z.ipv4(), IPv6: z.ipv6(), FQDN: dnsSubdomain };

// Loopback, link-local, multicast and unspecified addresses lead each caller elsewhere: Kubernetes refuses them.
const special = /^(127\.|169\.254\.|22[4-9]\.|23\d\.|0\.0\.0\.0$|::1?$|fe[89ab].:|ff..:)/i;

const addresses = ({ endpoints = [] }: Slice) => endpoints.flatMap((endpoint) => endpoint.addresses);

/** What must hold of EndpointSlices beyond their fields' types. */
export const rules: Rule[] = [
  rule<{ metadata: { labels?: Record<string, string> } }>("", {
    field: "metadata.labels",
    warning: true,
    cause: "the label kubernetes.io/service-name is missing, so it belongs to no Service",
    remedy: "Add it, with the Service's name",
    holds: ({ metadata }) => metadata.labels?.["kubernetes.io/service-name"] !== undefined,
  }),
  rule<Slice>("", {
    field: "endpoints",
    cause: "an address is not of the slice's addressType",
    remedy: "A slice has addresses of one type: write a slice for each type",
    holds: (slice) => addresses(slice).every((address) => forms[slice.addressType].safeParse(address).success),
  }),
  rule<Slice>("", {
    field: "endpoints",
    cause: "an address is a loopback, link-local, multicast or unspecified one",
    remedy: "Name an address that every caller reaches: each caller would reach another place by this one",
    holds: (slice) => slice.addressType === "FQDN" || addresses(slice).every((address) => !special.test(address)),
  }),
  rule<SlicePort[]>("ports", {
    cause: "two ports have the same name",
    remedy: "Names of ports differ; only one port may be without",
    holds: (ports) => new Set(ports.map(({ name }) => name)).size === ports.length,
  }),
];

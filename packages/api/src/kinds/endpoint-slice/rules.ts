import { bytesOf, isSpecialAddress } from "../common/addresses.ts";
import { dnsSubdomain } from "../common/scalars.ts";
import { type Rule, rule } from "../kind.ts";
import type { AddressType, SlicePort } from "./schema.ts";

interface Slice {
  metadata: { labels?: Record<string, string> };
  addressType: AddressType;
}

const forms: Record<AddressType, (address: string) => boolean> = {
  IPv4: (address) => bytesOf(address)?.length === 4,
  IPv6: (address) => bytesOf(address)?.length === 16,
  FQDN: (address) => {
    const name = address.replace(/\.$/, "");
    return name.includes(".") && name.split(".").every((label) => label.length <= 63) && dnsSubdomain.safeParse(name).success;
  },
};

/** What must hold of EndpointSlices beyond their fields' types. */
export const rules: Rule[] = [
  rule<Slice>("", {
    field: "metadata.labels",
    warning: true,
    cause: "the label kubernetes.io/service-name is missing, so it belongs to no Service",
    remedy: "Add it, with the Service's name",
    holds: ({ metadata }) => metadata.labels?.["kubernetes.io/service-name"] !== undefined,
  }),
  rule<string, Slice>("endpoints[].addresses[]", {
    cause: "it is no address of the slice's addressType",
    remedy: "A slice has addresses of one type: write a slice for each type",
    holds: (address, { addressType }) => forms[addressType](address),
  }),
  rule<string, Slice>("endpoints[].addresses[]", {
    cause: "it is a loopback, link-local or unspecified address",
    remedy: "Name an address that every caller reaches: each caller would reach another place by this one",
    holds: (address, { addressType }) => addressType === "FQDN" || !isSpecialAddress(address),
  }),
  rule<SlicePort[]>("ports", {
    cause: "two ports have the same name",
    remedy: "Names of ports differ; only one port may be without",
    holds: (ports) => new Set(ports.map(({ name }) => name)).size === ports.length,
  }),
  rule<SlicePort>("ports[]", {
    field: "port",
    warning: true,
    cause: "nobody can call this port",
    remedy: "Write one from 1 to 65535",
    holds: ({ port }) => port === undefined || (port >= 1 && port <= 65535),
  }),
];

import { z } from "zod";
import { atomicList, mapList } from "../common/lists.ts";
import { dnsLabel, dnsSubdomain, int32, labelValue, qualifiedName } from "../common/scalars.ts";

const endpoint = z.strictObject({
  addresses: z
    .array(z.string())
    .min(1)
    .max(100)
    .describe("Addresses of the endpoint, all of the slice's addressType. All mean the same instance; callers use the first."),
  conditions: z
    .strictObject({
      ready: z.boolean().optional().describe("Whether it may be called. Default: true."),
      serving: z.boolean().optional().describe("Whether it answers, even while it ends. Default: the same as ready."),
      terminating: z.boolean().optional().describe("Whether it is about to end. Default: false."),
    })
    .optional()
    .describe("State of the endpoint."),
  hostname: dnsLabel.optional().describe("Name that the endpoint has within its Service."),
  targetRef: z
    .strictObject({
      apiVersion: z.string().optional().describe("API group and version of the object."),
      kind: z.string().optional().describe("Kind of the object, such as Pod."),
      namespace: z.string().optional().describe("Namespace of the object."),
      name: z.string().optional().describe("Name of the object."),
      uid: z.string().optional().describe("The object's uid."),
      resourceVersion: z.string().optional().describe("Version of the object that was looked at."),
      fieldPath: z.string().optional().describe("Part of the object."),
    })
    .optional()
    .describe("Object that the endpoint stands for."),
  nodeName: dnsSubdomain.optional().describe("Node on which it runs."),
  zone: z.string().optional().describe("Zone in which it runs."),
  hints: z
    .strictObject({
      forZones: mapList(z.strictObject({ name: labelValue.describe("Name of the zone.") }), ["name"], 8)
        .optional()
        .describe("Zones whose callers should prefer it."),
      forNodes: mapList(z.strictObject({ name: dnsSubdomain.describe("Name of the node.") }), ["name"], 8)
        .optional()
        .describe("Nodes whose callers should prefer it."),
    })
    .optional()
    .describe("Who should prefer the endpoint."),
  deprecatedTopology: z
    .record(z.string(), z.string())
    .optional()
    .describe("Labels of its place in an older version of the API. Read only."),
});

const endpointPort = z.strictObject({
  name: z
    .union([dnsLabel, z.literal("")], "is no DNS label")
    .default("")
    .describe("Name of the Service's port that it serves; of several, each has one of its own."),
  protocol: z.enum(["TCP", "UDP", "SCTP"]).default("TCP").describe("Transport protocol."),
  port: int32(-(2 ** 31))
    .optional()
    .describe("Port of the endpoints. Default: any, as the reader decides."),
  appProtocol: qualifiedName.optional().describe("What is spoken, as in a Service's port. Default: it is detected."),
});

/** Fields of an EndpointSlice. */
export const fields = {
  addressType: z.enum(["IPv4", "IPv6", "FQDN"]).describe("What all addresses of the slice are."),
  endpoints: atomicList(endpoint, 1000).optional().describe("Instances of the Service."),
  ports: atomicList(endpointPort, 20000).optional().describe("Ports that every endpoint of the slice serves."),
};

/** An endpoint of a slice. */
export type SliceEndpoint = z.output<typeof endpoint>;
/** A port of a slice, its defaults filled in. */
export type SlicePort = z.output<typeof endpointPort>;
/** What an address of a slice may be. */
export type AddressType = z.output<typeof fields.addressType>;

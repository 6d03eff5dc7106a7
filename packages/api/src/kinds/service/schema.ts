import { z } from "zod";
import { ipAddress, ipAddressOr, network } from "../common/addresses.ts";
import { conditionsSchema } from "../common/conditions.ts";
import { labels } from "../common/metadata.ts";
import { dnsLabel, int32, port, qualifiedName, text } from "../common/scalars.ts";

const serviceName = "a port up to 65535, or the name of a port: at most 15 of a-z, 0-9 and single hyphens, with a letter";

const targetPort = z
  .union(
    [int32(0, 65535), z.string().regex(/^(?=.*[a-z])(?!.*--)[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?$/, `is not ${serviceName}`)],
    `is not ${serviceName}`,
  )
  .meta({ "x-kubernetes-int-or-string": true });

const servicePort = z.strictObject({
  name: dnsLabel.optional().describe("Name of the port. A Service with several ports needs one for each."),
  protocol: z.enum(["TCP", "UDP", "SCTP"]).default("TCP").describe("Transport protocol. Sidecars carry TCP."),
  appProtocol: qualifiedName
    .optional()
    .describe("What is spoken: http, grpc, tcp, kubernetes.io/h2c, or a name of your own with a prefix. Default: it is detected."),
  port: port.describe("Port that callers use."),
  targetPort: targetPort.optional().describe("Port of the program, or the name of one. Default, and 0: the same as port."),
  nodePort: int32(0, 65535).optional().describe("Port on every node; for types NodePort and LoadBalancer. Default: a free one."),
});

const family = z.enum(["IPv4", "IPv6"]);

const spec = z.strictObject({
  type: z
    .enum(["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"])
    .default("ClusterIP")
    .describe(
      "How the Service is reached: by an address of its own; also by a port on every node; also from outside; or as another name for externalName.",
    ),
  ports: z
    .array(servicePort)
    .meta({ "x-kubernetes-patch-strategy": "merge", "x-kubernetes-patch-merge-key": "port" })
    .optional()
    .describe("Ports that callers use. Needed, unless it has no address of its own (clusterIP: None) or is an ExternalName."),
  selector: labels.optional().describe("Labels of its instances. Without any, its endpoints come from EndpointSlices that people write."),
  clusterIP: ipAddressOr("", "None").optional().describe("Its address; None for none. Default: a free one is chosen."),
  clusterIPs: z.array(ipAddressOr("None")).max(2).optional().describe("Its addresses, at most one a family; the first is clusterIP."),
  ipFamilies: z.array(family).max(2).optional().describe("Families of its addresses, in order of clusterIPs."),
  ipFamilyPolicy: z
    .enum(["SingleStack", "PreferDualStack", "RequireDualStack"])
    .optional()
    .describe("Whether it has addresses of both families. Default: SingleStack."),
  externalIPs: z.array(ipAddress).optional().describe("Further addresses at which nodes take its traffic."),
  externalName: z.string().optional().describe("Name that the Service stands for; for type ExternalName."),
  externalTrafficPolicy: z
    .enum(["Cluster", "Local"])
    .optional()
    .describe("Whether traffic from outside stays on the node that took it. Default: Cluster."),
  internalTrafficPolicy: z
    .enum(["Cluster", "Local"])
    .optional()
    .describe("Whether calls from inside stay on the caller's node. Default: Cluster."),
  trafficDistribution: z
    .enum(["PreferClose", "PreferSameZone", "PreferSameNode"])
    .optional()
    .describe("Which instances are called first: those near the caller. Default: all alike."),
  healthCheckNodePort: int32(0, 65535)
    .optional()
    .describe("Port at which nodes say whether they have instances; for LoadBalancer with externalTrafficPolicy: Local."),
  loadBalancerClass: qualifiedName.optional().describe("Which load balancer makes it reachable from outside; for type LoadBalancer."),
  loadBalancerIP: z.string().optional().describe("Address wished for from the load balancer. Deprecated by Kubernetes; many ignore it."),
  loadBalancerSourceRanges: z
    .array(network)
    .optional()
    .describe("Ranges of addresses that may come through the load balancer. Default: all."),
  allocateLoadBalancerNodePorts: z.boolean().optional().describe("Whether type LoadBalancer gets node ports. Default: true."),
  publishNotReadyAddresses: z.boolean().optional().describe("Whether instances that are not ready are found too. Default: false."),
  sessionAffinity: z.enum(["None", "ClientIP"]).default("None").describe("Whether a client keeps to one instance."),
  sessionAffinityConfig: z
    .strictObject({
      clientIP: z
        .strictObject({ timeoutSeconds: int32(1, 86400).default(10800).describe("How long a client keeps to its instance, seconds.") })
        .optional()
        .describe("For sessionAffinity: ClientIP."),
    })
    .optional()
    .describe("How a client keeps to one instance."),
});

const ingress = z.strictObject({
  ip: ipAddress.optional().describe("Address of the load balancer."),
  hostname: z.string().optional().describe("Name of the load balancer."),
  ipMode: z
    .enum(["VIP", "Proxy"])
    .optional()
    .describe("Whether traffic arrives with the address of the load balancer (VIP) or of a node (Proxy)."),
  ports: z
    .array(
      z.strictObject({
        port: port.describe("Port of the Service."),
        protocol: z.enum(["TCP", "UDP", "SCTP"]).describe("Transport protocol."),
        error: text(316).optional().describe("What keeps the port from working."),
      }),
    )
    .optional()
    .describe("Ports of the load balancer."),
});

/** Fields of a Service. */
export const fields = {
  spec: spec.describe("How the Service is called, and who answers."),
  status: z
    .strictObject({
      loadBalancer: z
        .strictObject({ ingress: z.array(ingress).optional().describe("Where it is reached from outside.") })
        .optional()
        .describe("The load balancer, for type LoadBalancer."),
      conditions: conditionsSchema.optional(),
    })
    .optional()
    .describe("What came of it. Servers write it."),
};

/** What a Service is to be, its defaults filled in. */
export type ServiceSpec = z.output<typeof spec>;

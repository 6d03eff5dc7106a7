import { z } from "zod";
import { atomicList } from "../common/lists.ts";
import { dnsLabel, dnsSubdomain, group, int32, kindName, objectName, port, wildcardHostname } from "../common/scalars.ts";

const gatewayGroup = "gateway.networking.k8s.io";

const parentRef = z.strictObject({
  group: group.default(gatewayGroup).describe('API group of the parent. Write "" for a Service.'),
  kind: kindName.default("Gateway").describe("Kind of the parent: Service for calls within the mesh."),
  namespace: dnsLabel
    .optional()
    .describe(
      "The parent's namespace. Default: the route's own. From another one, the route holds for callers in the route's namespace only.",
    ),
  name: objectName.describe("The parent's name."),
  sectionName: dnsSubdomain
    .optional()
    .describe("Part of the parent: the name of a Service's port or a Gateway's listener. Default: all of it."),
  port: port.optional().describe("Port of the parent. Default: all its ports."),
});

/** What routes attach themselves to. */
export const parentRefs = atomicList(parentRef, 32)
  .optional()
  .describe(
    "What the route is for: Services whose calls it directs, or Gateways. Two references to the same parent differ in sectionName.",
  );

/** Hosts of what a route directs, requests or calls. */
export const hostnames = (of: string) =>
  atomicList(wildcardHostname, 16)
    .optional()
    .describe(
      `Hosts of ${of} that the route is for; \`*.example.com\` is every subdomain. Default: any. For Services as parents it is ignored.`,
    );

const backendObject = {
  group: group.default("").describe('API group of the backend; "" is Kubernetes\' core, to which Service belongs.'),
  kind: kindName.default("Service").describe("Kind of the backend."),
  name: objectName.describe("The backend's name."),
  namespace: dnsLabel.optional().describe("The backend's namespace. Default: the route's own. Another one needs a ReferenceGrant there."),
  port: port.optional().describe("Port of the backend; a Service needs one."),
};

/** A backend that nothing more is said of. */
export const backendObjectReference = z.strictObject(backendObject);

/** A backend with its share of requests and its own filters. */
export function backendRefs<Filters extends z.ZodType>(filters: Filters) {
  const backendRef = z.strictObject({
    ...backendObject,
    weight: int32(0, 1_000_000)
      .default(1)
      .describe("Share of requests: this weight divided by the sum of all backends' weights. 0 sends none."),
    filters,
  });
  return atomicList(backendRef, 16)
    .optional()
    .describe("Where matching requests go, shared out by weight. Without any, and if no filter answers, requests fail.");
}

/** An object by which a filter is extended. */
export const localObjectReference = z.strictObject({
  group: group.describe("API group of the object."),
  kind: kindName.describe("Kind of the object."),
  name: objectName.describe("Name of the object, in the route's namespace."),
});

/** Status of a route at one parent. */
export const statusParentRef = parentRef;

import { z } from "zod";
import { atomicList } from "../common/lists.ts";
import { dnsLabel, group, kindName, objectName } from "../common/scalars.ts";

const maxEntries = 16;

const from = z.strictObject({
  group: group.describe("API group of what refers."),
  kind: kindName.describe("Kind of what refers: HTTPRoute or GRPCRoute."),
  namespace: dnsLabel.describe("Namespace of what refers."),
});

const to = z.strictObject({
  group: group.describe('API group of what is referred to; "" is Kubernetes\' core, to which Service belongs.'),
  kind: kindName.describe("Kind of what is referred to: Service."),
  name: objectName.optional().describe("Name of what is referred to. Default: every object of that kind in the grant's namespace."),
});

/** Fields of a ReferenceGrant. */
export const fields = {
  spec: z
    .strictObject({
      from: atomicList(from, maxEntries).min(1).describe("Who may refer: each of these."),
      to: atomicList(to, maxEntries).min(1).describe("What they may refer to: each of these, in the grant's own namespace."),
    })
    .describe("Who may refer to what."),
};

import type { z } from "zod";
import { defineKind } from "../kind.ts";
import { rules } from "./rules.ts";
import { fields } from "./schema.ts";

/** EndpointSlice of Kubernetes. */
export const endpointSlice = defineKind({
  group: "discovery.k8s.io",
  version: "v1",
  kind: "EndpointSlice",
  plural: "endpointslices",
  singular: "endpointslice",
  shortNames: [],
  namespaced: true,
  description:
    "Instances of a Service: addresses and ports. Its label kubernetes.io/service-name names the Service. Written by hand, it gives a name to what runs outside the mesh, such as a database.",
  fields,
  rules,
  removed: { "endpoints[].topology": "Write nodeName and zone" },
});

/** An EndpointSlice, its defaults filled in. */
export type EndpointSlice = z.output<typeof endpointSlice.schema>;

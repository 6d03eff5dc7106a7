import type { z } from "zod";
import { defineKind } from "../kind.ts";
import { rules } from "./rules.ts";
import { fields } from "./schema.ts";

/** Service of Kubernetes' core. */
export const service = defineKind({
  group: "",
  version: "v1",
  kind: "Service",
  plural: "services",
  singular: "service",
  shortNames: ["svc"],
  namespaced: true,
  nameForm: "label",
  description: "A name that others call, its ports, and which instances answer. `weft run` makes one if nobody wrote it.",
  fields,
  rules,
  removed: {
    "spec.topologyKeys": "Write trafficDistribution: PreferSameZone",
    "spec.ipFamily": "Write ipFamilies, a list",
    "spec.portalIP": "Write clusterIP",
  },
});

/** A Service, its defaults filled in. */
export type Service = z.output<typeof service.schema>;

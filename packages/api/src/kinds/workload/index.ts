import type { z } from "zod";
import { defineKind } from "../kind.ts";
import { rules } from "./rules.ts";
import { fields } from "./schema.ts";

/** Weft's Workload. */
export const workload = defineKind({
  group: "weft.dev",
  version: "v1alpha1",
  kind: "Workload",
  plural: "workloads",
  singular: "workload",
  shortNames: ["wl"],
  namespaced: true,
  readOnly: true,
  description: "A program that runs behind a sidecar as an instance of a service. The controller writes it; people read it.",
  fields,
  rules,
});

/** A Workload, its defaults filled in. */
export type Workload = z.output<typeof workload.schema>;

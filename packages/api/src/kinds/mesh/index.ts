import type { z } from "zod";
import { defineKind } from "../kind.ts";
import { rules } from "./rules.ts";
import { fields } from "./schema.ts";

/** Weft's Mesh. */
export const mesh = defineKind({
  group: "weft.dev",
  version: "v1alpha1",
  kind: "Mesh",
  plural: "meshes",
  singular: "mesh",
  shortNames: [],
  namespaced: false,
  description: "What holds for the whole mesh. There is one, named default.",
  fields,
  rules,
});

/** A Mesh, its defaults filled in. */
export type Mesh = z.output<typeof mesh.schema>;

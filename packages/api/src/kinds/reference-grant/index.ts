import type { z } from "zod";
import { defineKind } from "../kind.ts";
import { fields } from "./schema.ts";

/** ReferenceGrant of Gateway API 1.6, standard channel. */
export const referenceGrant = defineKind({
  group: "gateway.networking.k8s.io",
  version: "v1",
  kind: "ReferenceGrant",
  plural: "referencegrants",
  singular: "referencegrant",
  shortNames: ["refgrant"],
  namespaced: true,
  description:
    "Allows routes of other namespaces to send requests to Services of its own. Without one they may not, whatever they say; when it goes, so does what it allowed.",
  fields,
});

/** A ReferenceGrant, its defaults filled in. */
export type ReferenceGrant = z.output<typeof referenceGrant.schema>;

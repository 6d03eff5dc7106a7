import { z } from "zod";
import { conditionsSchema } from "../common/conditions.ts";
import { atomicList } from "../common/lists.ts";
import { formed } from "../common/scalars.ts";
import { statusParentRef } from "./references.ts";

const controllerName = formed(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/[A-Za-z0-9/\-._~%!$&'()*+,;=:]+$/, {
  form: "name of a controller",
  like: "weft.dev/controller",
  max: 253,
});

const parent = z.strictObject({
  parentRef: statusParentRef.describe("The parent, as the route's spec names it."),
  controllerName: controllerName.describe("Controller that wrote this entry."),
  conditions: conditionsSchema
    .min(1)
    .describe("Accepted: the parent takes the route. ResolvedRefs: everything that it names exists and may be used."),
});

/** Status of a route: an entry for each parent and controller. */
export const routeStatus = z
  .strictObject({ parents: atomicList(parent, 32).describe("How the route stands with each parent.") })
  .optional()
  .describe("What came of the route. Controllers write it.");

import { z } from "zod";
import { mapList } from "./lists.ts";
import { formed, moment, text } from "./scalars.ts";

const condition = z.strictObject({
  type: formed(/^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$/, {
    form: "type of a condition",
    like: "Accepted",
    min: 0,
    max: 316,
  }).describe("What is stated, such as Accepted."),
  status: z.enum(["True", "False", "Unknown"]).describe("Whether it is so."),
  reason: formed(/^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$/, { form: "reason", like: "ResolvedRefs", max: 1024 }).describe(
    "Why, as one word for programs.",
  ),
  message: text(32768, 0).describe("Why, for people."),
  lastTransitionTime: moment.describe("When status last became what it is (RFC 3339)."),
  observedGeneration: z
    .int()
    .min(0)
    .optional()
    .describe("The metadata.generation that was looked at. When it is less than the object's, this is about an earlier version of it."),
});

/** Conditions of a status: at most eight, one of each type. */
export const conditionsSchema = mapList(condition, ["type"], 8).describe("What holds of it, one entry a statement.");

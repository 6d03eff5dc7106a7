import { z } from "zod";
import { shown } from "../../shown.ts";
import { dnsLabel, dnsSubdomain, isLabelValue, isQualified, moment, noLabelValue } from "./scalars.ts";

/** What a name must be: a DNS label, or labels with dots between. */
export type NameForm = "label" | "subdomain";

const maxAnnotationBytes = 256 * 1024;

function keyed(isKey: (key: string) => boolean, valueProblem: (value: string) => string | undefined) {
  return z.record(z.string(), z.string()).check((context) => {
    const refuse = (key: string, cause: string, remedy: string) =>
      context.issues.push({ code: "custom", input: key, path: [key], message: cause, params: { cause, remedy }, continue: true });
    for (const [key, value] of Object.entries(context.value)) {
      const problem = valueProblem(value);
      if (!isKey(key)) refuse(key, `${shown(key)} is no key of a label or annotation`, "Write it like team or example.com/team");
      else if (problem !== undefined) refuse(key, problem, "Put what is longer or freer into an annotation");
    }
  });
}

/** Labels: keys are qualified names, values short. */
export const labels = keyed(isQualified, (value) => (isLabelValue(value) ? undefined : `${shown(value)} ${noLabelValue}`));

const annotations = keyed(
  (key) => isQualified(key.toLowerCase()),
  () => undefined,
).check((context) => {
  const bytes = new TextEncoder().encode(Object.entries(context.value).flat().join("")).length;
  if (bytes <= maxAnnotationBytes) return;
  const params = { cause: `annotations have ${bytes} bytes`, remedy: `All together may have at most ${maxAnnotationBytes}` };
  context.issues.push({ code: "custom", input: context.value, message: params.cause, params, continue: true });
});

const ownerReference = z.strictObject({
  apiVersion: z.string().describe("API group and version of the owner."),
  kind: z.string().describe("Kind of the owner."),
  name: z.string().describe("Name of the owner."),
  uid: z.string().describe("The owner's uid."),
  controller: z.boolean().optional().describe("Whether the owner manages this object. Default: false."),
  blockOwnerDeletion: z.boolean().optional().describe("Whether the owner waits for this object when it is deleted. Default: false."),
});

const managedFields = z.strictObject({
  manager: z.string().optional().describe("Who set the fields."),
  operation: z.enum(["Apply", "Update"]).optional().describe("How they were set."),
  apiVersion: z.string().optional().describe("API version in which they were set."),
  time: moment.optional().describe("When (RFC 3339)."),
  fieldsType: z.string().optional().describe("Form of fieldsV1: FieldsV1."),
  fieldsV1: z.record(z.string(), z.unknown()).optional().describe("Which fields."),
  subresource: z.string().optional().describe("Subresource through which they were set, such as status."),
});

const byServer = (what: string) => `${what} Set by the server; what a document says is ignored.`;

/** Kubernetes' metadata of objects, as far as people and servers write it. */
export function metadataSchema(form: NameForm, namespaced: boolean) {
  const name = form === "label" ? dnsLabel : dnsSubdomain;
  return z
    .strictObject({
      name: name.describe(`The object's name${namespaced ? ", unique among those of its kind in the namespace" : ""}.`),
      ...(namespaced
        ? { namespace: dnsLabel.optional().describe("Namespace in which it lives. Default: that of the command or context, else default.") }
        : {}),
      labels: labels.optional().describe("Short values by which objects are selected: at most 63 characters each."),
      annotations: annotations.optional().describe("Free texts for people and programs: at most 256 KiB together."),
      generateName: z.string().optional().describe("Begin of a name that the server makes up. Documents need a name of their own."),
      finalizers: z.array(z.string()).optional().describe("Who must agree before the object goes once it is deleted."),
      ownerReferences: z.array(ownerReference).optional().describe("Objects with which this one goes."),
      uid: z.string().optional().describe(byServer("Identifies this object among all that ever had its name.")),
      resourceVersion: z
        .string()
        .optional()
        .describe("Version that a change is based on: if the object has another one, the change is refused."),
      generation: z.int().min(0).optional().describe(byServer("Counts changes of the spec.")),
      creationTimestamp: moment.optional().describe(byServer("When it was created (RFC 3339).")),
      deletionTimestamp: moment.optional().describe(byServer("When it is to be gone (RFC 3339).")),
      deletionGracePeriodSeconds: z.int().optional().describe(byServer("How long it has for an orderly end, seconds.")),
      managedFields: z.array(managedFields).optional().describe(byServer("Who set which fields.")),
      selfLink: z.string().optional().describe("Not used any more."),
    })
    .describe("Name, namespace, labels and what the server keeps of the object.");
}

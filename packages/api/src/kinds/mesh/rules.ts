import { type Rule, rule } from "../kind.ts";

/** What must hold of Meshes beyond their fields' types. */
export const rules: Rule[] = [
  rule<{ metadata: { name: string } }>("", {
    field: "metadata.name",
    cause: "its name is not default: a mesh has one Mesh",
    remedy: "Write name: default",
    cel: "self.metadata.name == 'default'",
    holds: ({ metadata }) => metadata.name === "default",
  }),
];

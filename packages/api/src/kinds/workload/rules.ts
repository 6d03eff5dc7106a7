import { type Rule, rule } from "../kind.ts";
import type { WorkloadSpec } from "./schema.ts";

/** What must hold of Workloads beyond their fields' types. */
export const rules: Rule[] = [
  rule<WorkloadSpec>("spec", {
    field: "publish",
    cause: "a port is published that is not among ports",
    remedy: "Publish service ports, or declare no ports",
    cel: "!has(self.publish) || !has(self.ports) || self.ports.size() == 0 || self.publish.all(p, self.ports.exists(m, m.servicePort == p))",
    holds: ({ publish = [], ports = [] }) =>
      ports.length === 0 || publish.every((port) => ports.some(({ servicePort }) => servicePort === port)),
  }),
];

import type { Workload } from "@weft/api/kinds";
import type { StoredObject } from "../../store/store.ts";
import { resources } from "../lists.ts";
import { canonicalName } from "../names.ts";
import type { View } from "../view.ts";

/** The Service behind an address of its own (`198.18.0.7`) or behind a port that it published on the host's loopback (`127.0.0.1:8080`): its canonical name. */
export const addressView: View<string> = {
  name: "address",
  make(reader, key) {
    const [service] = [...reader.list(resources.services, key)].sort(byAge);
    if (service !== undefined) return { value: canonicalName(service.metadata.namespace ?? "", service.metadata.name), findings: [] };
    const [workload] = reader.list(resources.workloads, key);
    if (workload === undefined) return { value: undefined, findings: [] };
    const { spec } = workload as unknown as Workload;
    return { value: canonicalName(workload.metadata.namespace ?? "", spec.service), findings: [] };
  },
};

// Of several that were given one address by people, who had it first keeps it.
function byAge({ metadata: a }: StoredObject, { metadata: b }: StoredObject): number {
  return a.creationTimestamp === b.creationTimestamp ? 0 : a.creationTimestamp < b.creationTimestamp ? -1 : 1;
}

import type { ReferenceGrant } from "@weft/api/kinds";
import type { Key } from "../../store/store.ts";
import { resources } from "../lists.ts";
import type { Reader } from "../reader.ts";

/** Who refers to something. */
export interface Referrer {
  group: string;
  kind: string;
  namespace: string;
}

/** Whether a ReferenceGrant in a Service's namespace allows others to refer to it. */
export function isGranted(reader: Reader, from: Referrer, { namespace, name }: Omit<Key, "resource">): boolean {
  const grants = reader.list(resources.referenceGrants, namespace) as unknown as readonly ReferenceGrant[];
  return grants.some(
    ({ spec }) =>
      spec.from.some((each) => each.group === from.group && each.kind === from.kind && each.namespace === from.namespace) &&
      spec.to.some((each) => each.group === "" && each.kind === "Service" && (each.name ?? name) === name),
  );
}

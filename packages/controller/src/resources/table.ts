import type { StoredObject } from "../store/store.ts";
import { columnsOf } from "./columns.ts";
import type { ServedKind } from "./namespaces.ts";

/** Objects as rows for people, as Kubernetes' Table. */
export function table(
  kind: ServedKind,
  items: readonly StoredObject[],
  { revision, include }: { revision?: string; include?: string | null },
): object {
  const columns = columnsOf(kind);
  return {
    kind: "Table",
    apiVersion: "meta.k8s.io/v1",
    metadata: revision === undefined ? {} : { resourceVersion: revision },
    columnDefinitions: columns.map(({ name, description, isWide }) => ({
      name,
      type: "string",
      format: name === "Name" ? "name" : "",
      description,
      priority: isWide ? 1 : 0,
    })),
    rows: items.map((object) => ({ cells: columns.map(({ cell }) => cell(object) || "<none>"), ...shown(object, include) })),
  };
}

/** What a row says of its object beside its cells. */
function shown(object: StoredObject, include: string | null | undefined): { object?: object } {
  if (include === "None") return {};
  if (include === "Object") return { object };
  return { object: { kind: "PartialObjectMetadata", apiVersion: "meta.k8s.io/v1", metadata: object.metadata } };
}

import { defaultNamespace } from "@weft/api";
import { type Kind, type KindNames, kinds } from "@weft/api/kinds";
import { compareRevisions, type StoredObject } from "../store/store.ts";
import type { Stores } from "../store/stores.ts";

/** A kind as the API serves it. */
export type ServedKind = KindNames & Pick<Kind, "apiVersion" | "description" | "readOnly">;

/** Kubernetes' Namespace. Here namespaces are no objects: one is there as soon as something is in it. */
export const namespaceKind: ServedKind = {
  group: "",
  version: "v1",
  apiVersion: "v1",
  kind: "Namespace",
  plural: "namespaces",
  singular: "namespace",
  shortNames: ["ns"],
  namespaced: false,
  readOnly: true,
  description:
    "Something in which objects have their names. One is there as soon as there is an object in it, and nobody needs to make it.",
};

/** The name by which stores know a kind's objects: `services`, `workloads.weft.dev`. */
export const resourceOf = ({ group, plural }: Pick<KindNames, "group" | "plural">) => (group === "" ? plural : `${plural}.${group}`);

/** All namespaces: those in which something is, and the default one. */
export async function listNamespaces(stores: Stores): Promise<{ items: StoredObject[]; revision: string }> {
  const namespaced = kinds.filter((kind) => kind.namespaced).map(resourceOf);
  const lists = await Promise.all(namespaced.map((resource) => stores.storeFor(resource).list(resource)));
  const oldest = new Map<string, string | undefined>([[defaultNamespace, undefined]]);
  for (const { metadata } of lists.flatMap(({ items }) => items)) {
    const { namespace = "", creationTimestamp } = metadata;
    const known = oldest.get(namespace);
    if (known === undefined || creationTimestamp < known) oldest.set(namespace, creationTimestamp);
  }
  const revision = lists.map((list) => list.revision).sort(compareRevisions)[0] ?? "0";
  const items = [...oldest].map(([name, creationTimestamp]) => ({
    apiVersion: "v1",
    kind: "Namespace",
    metadata: {
      name,
      // One of this name is always the same.
      uid: `namespace-${name}`,
      resourceVersion: revision,
      generation: 1,
      labels: { "kubernetes.io/metadata.name": name },
      ...(creationTimestamp === undefined ? {} : { creationTimestamp }),
    } as StoredObject["metadata"],
    status: { phase: "Active" },
  }));
  return { items, revision };
}

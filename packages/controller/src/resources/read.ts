import { weftError } from "@weft/api";
import { nameOf } from "../store/change.ts";
import { compareRevisions, type StoredObject } from "../store/store.ts";
import type { ResourceContext } from "./context.ts";
import { listNamespaces, namespaceKind, resourceOf } from "./namespaces.ts";
import { selectorOf } from "./selectors.ts";
import type { ObjectTarget } from "./target.ts";

/** Objects, and the revision of which they are. */
export interface Found {
  items: readonly StoredObject[];
  revision: string;
}

/** The one object of a target. Throws WEFT-C-OBJECT-UNKNOWN. */
export async function getObject(context: ResourceContext, target: ObjectTarget): Promise<StoredObject> {
  const { kind, namespace = "", name = "" } = target;
  const resource = resourceOf(kind);
  const object =
    kind === namespaceKind
      ? (await listNamespaces(context.stores)).items.find(({ metadata }) => metadata.name === name)
      : await context.stores.storeFor(resource).get({ resource, namespace, name });
  if (object === undefined) throw unknownObject(target);
  return object;
}

/** That there is no object of this name. */
export function unknownObject({ kind, namespace = "", name }: ObjectTarget) {
  return weftError("WEFT-C-OBJECT-UNKNOWN", `There is no ${nameOf({ resource: resourceOf(kind), namespace, name: name ?? "" })}.`);
}

/** All objects of a target that are selected, by namespace and name. They are answered whole: `limit` is what a server may answer, and none is kept here. */
export async function listObjects(context: ResourceContext, { kind, namespace }: ObjectTarget, query: URLSearchParams): Promise<Found> {
  const matches = selectorOf(query);
  const resource = resourceOf(kind);
  const { items, revision } =
    kind === namespaceKind
      ? await listNamespaces(context.stores)
      : await context.stores.storeFor(resource).list(resource, kind.namespaced ? namespace : undefined);
  const after = query.get("resourceVersion") ?? "0";
  if (/^\d+$/.test(after) && after !== "0" && compareRevisions(after, revision) > 0) {
    throw weftError("WEFT-C-WATCH-EXPIRED", `Nothing is known of revision ${after}: the newest is ${revision}.`);
  }
  return { items: items.filter(matches).sort(byName), revision };
}

function byName({ metadata: a }: StoredObject, { metadata: b }: StoredObject): number {
  const [one, other] = [`${a.namespace ?? ""}/${a.name}`, `${b.namespace ?? ""}/${b.name}`];
  return one < other ? -1 : one > other ? 1 : 0;
}

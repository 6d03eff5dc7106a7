import { isDeepStrictEqual } from "node:util";
import { isMapping, type JsonSchema, jsonSchema, type Kind } from "@weft/api/kinds";
import type { ServedKind } from "../namespaces.ts";
import { badRequest } from "../status.ts";

/** Lists that strategic merge patches merge, by path: the field that tells their items apart, or `""` for lists of single values. */
export type MergeKeys = ReadonlyMap<string, string>;

const metadataKeys = [
  ["metadata.finalizers", ""],
  ["metadata.ownerReferences", "uid"],
] as const;

/** Which lists of a kind are merged, as its schema says. */
export function mergeKeysOf(kind: ServedKind): MergeKeys {
  return new Map([...metadataKeys, ...keysIn(jsonSchema(kind as Kind), "")]);
}

function* keysIn(schema: JsonSchema, path: string): Generator<[string, string]> {
  const [listKey, ...others] = (schema["x-kubernetes-list-map-keys"] as string[] | undefined) ?? [];
  const key = schema["x-kubernetes-patch-merge-key"] ?? (others.length === 0 ? listKey : undefined);
  if (typeof key === "string") yield [path, key];
  const inner = schema.items ?? schema;
  for (const [name, property] of Object.entries(inner.properties ?? {})) yield* keysIn(property, path === "" ? name : `${path}.${name}`);
}

const order = "$setElementOrder/";
const removal = "$deleteFromPrimitiveList/";

/** What a strategic merge patch makes of a value: as a merge patch does, but lists of known items are merged item by item. */
export function strategicMergePatch(value: unknown, patch: unknown, keys: MergeKeys): unknown {
  if (!isMapping(patch)) throw badRequest("The patch is no mapping.");
  return merged(value, patch, keys, "");
}

function merged(value: unknown, patch: unknown, keys: MergeKeys, path: string): unknown {
  if (Array.isArray(patch)) return keys.has(path) ? mergedList(value, patch, keys, path) : patch;
  if (!isMapping(patch)) return patch;
  const { $patch: directive, $retainKeys: retained, ...changes } = patch;
  if (directive === "delete") return undefined;
  if (directive !== undefined && directive !== "merge" && directive !== "replace")
    throw badRequest(`$patch is ${JSON.stringify(directive)}, and only replace, merge and delete are known.`);
  const before = isMapping(value) && directive !== "replace" ? Object.entries(value) : [];
  const result = new Map(before.filter(([field]) => !Array.isArray(retained) || retained.includes(field)));
  const put = (field: string, next: unknown) => (next === undefined || next === null ? result.delete(field) : result.set(field, next));
  const entries = Object.entries(changes);
  for (const [field, change] of entries.filter(([field]) => field.startsWith(removal))) {
    const name = field.slice(removal.length);
    const gone = Array.isArray(change) ? change : [];
    const items = result.get(name);
    if (Array.isArray(items))
      put(
        name,
        items.filter((item) => !gone.some((each) => isDeepStrictEqual(each, item))),
      );
  }
  for (const [field, change] of entries.filter(([field]) => !field.startsWith(order) && !field.startsWith(removal)))
    put(field, merged(result.get(field), change, keys, path === "" ? field : `${path}.${field}`));
  for (const [field, wanted] of entries.filter(([field]) => field.startsWith(order))) {
    const name = field.slice(order.length);
    const items = result.get(name);
    if (Array.isArray(items) && Array.isArray(wanted))
      put(name, ordered(items, wanted, keys.get(path === "" ? name : `${path}.${name}`) ?? ""));
  }
  return Object.fromEntries(result);
}

function mergedList(value: unknown, patch: readonly unknown[], keys: MergeKeys, path: string): unknown[] {
  const key = keys.get(path) ?? "";
  const isReplaced = patch.some((item) => isMapping(item) && item.$patch === "replace");
  const result = isReplaced || !Array.isArray(value) ? [] : [...value];
  for (const item of patch) {
    if (isMapping(item) && item.$patch === "replace" && Object.keys(item).length === 1) continue;
    const index = result.findIndex((each) => isSameItem(each, item, key));
    const next = key === "" ? item : merged(result[index], item, keys, path);
    if (next === undefined) {
      if (index >= 0) result.splice(index, 1);
    } else if (index >= 0) result[index] = next;
    else result.push(next);
  }
  return result;
}

function isSameItem(a: unknown, b: unknown, key: string): boolean {
  if (key === "") return isDeepStrictEqual(a, b);
  if (!isMapping(b) || b[key] === undefined)
    throw badRequest(`An item of a list in the patch has no ${key}, by which items are told apart.`);
  return isMapping(a) && a[key] === b[key];
}

/** Items in the wanted order; those that it does not name stay behind the one that they follow. */
function ordered(items: readonly unknown[], wanted: readonly unknown[], key: string): unknown[] {
  const place = (item: unknown) => wanted.findIndex((each) => isSameItem(item, each, key));
  let last = -1;
  const places = items.map((item) => {
    const found = place(item);
    if (found >= 0) last = found;
    return found >= 0 ? found : last + 0.5;
  });
  return items
    .map((item, index) => ({ item, at: places[index] as number }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item);
}

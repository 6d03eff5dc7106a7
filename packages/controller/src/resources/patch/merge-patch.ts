import { isMapping } from "@weft/api/kinds";

/** What a merge patch (RFC 7396) makes of a value: mappings are merged, null takes a field away, and everything else is replaced. */
export function mergePatch(value: unknown, patch: unknown): unknown {
  if (!isMapping(patch)) return patch;
  const merged = new Map(isMapping(value) ? Object.entries(value) : []);
  for (const [field, change] of Object.entries(patch)) {
    if (change === null) merged.delete(field);
    else merged.set(field, mergePatch(merged.get(field), change));
  }
  return Object.fromEntries(merged);
}

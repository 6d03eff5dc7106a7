import { weftError } from "@weft/api";
import type { ServedKind } from "../namespaces.ts";
import { jsonPatch } from "./json-patch.ts";
import { mergePatch } from "./merge-patch.ts";
import { mergeKeysOf, strategicMergePatch } from "./strategic-merge-patch.ts";

const merge = "application/merge-patch+json";
const strategic = "application/strategic-merge-patch+json";
const json = "application/json-patch+json";

/** Forms of patches that a kind takes. As in Kubernetes, strategic merge patches are for its own kinds. */
export const patchTypesOf = ({ group }: Pick<ServedKind, "group">) =>
  group === "" || group === "discovery.k8s.io" ? [json, merge, strategic] : [json, merge];

/** Throws WEFT-C-BODY-FORMAT-UNKNOWN if a kind does not take patches of a content type. */
export function checkPatchType(kind: ServedKind, contentType: string): void {
  const types = patchTypesOf(kind);
  if (types.includes(contentType)) return;
  if (contentType.startsWith("application/apply-patch+"))
    throw weftError("WEFT-C-BODY-FORMAT-UNKNOWN", "Server-side apply is not served here: nobody keeps which field is whose.", {
      hint: "Use `kubectl apply` without --server-side, which sends what changed, or `weft apply`.",
    });
  throw weftError("WEFT-C-BODY-FORMAT-UNKNOWN", `${kind.kind} takes no patch of ${JSON.stringify(contentType.slice(0, 100))}.`, {
    hint: `It takes ${types.join(", ")}: with kubectl patch, --type=merge or --type=json.`,
  });
}

/** What a patch of a content type that the kind takes makes of an object. Throws WEFT-C-BODY-INVALID. */
export function patched(kind: ServedKind, contentType: string, object: unknown, patch: unknown): unknown {
  if (contentType === json) return jsonPatch(object, patch);
  return contentType === merge ? mergePatch(object, patch) : strategicMergePatch(object, patch, mergeKeysOf(kind));
}

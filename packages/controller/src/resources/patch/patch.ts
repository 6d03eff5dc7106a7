import { weftError } from "@weft/api";
import type { ServedKind } from "../namespaces.ts";
import { jsonPatch } from "./json-patch.ts";
import { mergePatch } from "./merge-patch.ts";
import { mergeKeysOf, strategicMergePatch } from "./strategic-merge-patch.ts";

const merge = "application/merge-patch+json";
const strategic = "application/strategic-merge-patch+json";
const json = "application/json-patch+json";
const apply = "application/apply-patch+yaml";

/** Forms of patches that a kind takes. As in Kubernetes, strategic merge patches are for its own kinds. */
export const patchTypesOf = ({ group }: Pick<ServedKind, "group">) =>
  group === "" || group === "discovery.k8s.io" ? [json, merge, strategic] : [json, merge];

/** What a patch of a content type makes of an object. Throws WEFT-C-BODY-FORMAT-UNKNOWN and WEFT-C-BODY-INVALID. */
export function patched(kind: ServedKind, contentType: string, object: unknown, patch: unknown): unknown {
  const types = patchTypesOf(kind);
  if (contentType === apply || contentType === "application/apply-patch+cbor")
    throw weftError("WEFT-C-BODY-FORMAT-UNKNOWN", "Server-side apply is not served here: nobody keeps which field is whose.", {
      hint: "Use `kubectl apply` without --server-side, which sends what changed, or `weft apply`.",
    });
  if (!types.includes(contentType))
    throw weftError("WEFT-C-BODY-FORMAT-UNKNOWN", `${kind.kind} takes no patch of ${JSON.stringify(contentType.slice(0, 100))}.`, {
      hint: `It takes ${types.join(", ")}: with kubectl patch, --type=merge or --type=json.`,
    });
  if (contentType === json) return jsonPatch(object, patch);
  return contentType === merge ? mergePatch(object, patch) : strategicMergePatch(object, patch, mergeKeysOf(kind));
}

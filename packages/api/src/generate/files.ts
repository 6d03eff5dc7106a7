import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { stringify } from "yaml";
import { kinds } from "../kinds/index.ts";
import { isOwn } from "../kinds/kind.ts";
import { crd } from "./crd.ts";
import { editorSchema } from "./json-schema.ts";
import { indexPage, metadataPage, referencePage } from "./reference.ts";

/** The repository's folder. */
export const root = fileURLToPath(new URL("../../../..", import.meta.url));

/** Documents beside a kind: its examples, or what is refused of it. */
export function documentsOf(kind: { kind: string }, folder: "examples" | "refused"): { name: string; text: string }[] {
  const place = join(root, "packages/api/src/kinds", folderOf(kind), folder);
  return readdirSync(place)
    .sort()
    .map((file) => ({ name: file.replace(/\.yaml$/, ""), text: readFileSync(join(place, file), "utf8") }));
}

/** Folder of a kind: `HTTPRoute` lies in `http-route`. */
export const folderOf = ({ kind }: { kind: string }) => kind.replace(/([a-z])([A-Z])|([A-Z])([A-Z][a-z])/g, "$1$3-$2$4").toLowerCase();

/** Every file that is made from the kinds: its path in the repository, and its text. */
export function generatedFiles(): Map<string, string> {
  const [first] = kinds;
  return new Map([
    ["docs/reference/README.md", indexPage(kinds)],
    ...(first ? [["docs/reference/metadata.md", metadataPage(first)] as const] : []),
    ...kinds.map((kind) => [`docs/reference/${kind.singular}.md`, referencePage(kind, documentsOf(kind, "examples"))] as const),
    ["docs/reference/weft.schema.json", `${JSON.stringify(editorSchema(kinds), undefined, 1)}\n`],
    ...kinds
      .filter(isOwn)
      .map(
        (kind) =>
          [
            `deploy/crds/${kind.plural}.${kind.group}.yaml`,
            `# Written by \`npm run generate\`.\n${stringify(crd(kind), { lineWidth: 0, aliasDuplicateObjects: false })}`,
          ] as const,
      ),
  ]);
}

import type { Kind } from "../kinds/kind.ts";
import { below, type Field, fieldsOf } from "../validate/fields.ts";
import { about, refusedAt } from "./explain.ts";

/** An example document of a kind. */
export interface Example {
  /** File's name without its end, words with hyphens between. */
  name: string;
  text: string;
}

const note = "<!-- Written by `npm run generate` from packages/api/src/kinds. -->";

/** The reference page of a kind, as Markdown. */
export function referencePage(kind: Kind, examples: readonly Example[]): string {
  const tree = fieldsOf(kind);
  const names = [kind.plural, kind.singular, ...kind.shortNames].map((name) => `\`${name}\``).join(", ");
  const own = tree.fields.filter(({ name }) => !["apiVersion", "kind", "metadata"].includes(name));
  const refused = [tree, ...below(tree)].flatMap((field) =>
    refusedAt(kind, field).map((cause) => `| \`${field.path || kind.kind}\` | ${cell(cause)} |`),
  );
  return [
    `# ${kind.kind}`,
    note,
    kind.description,
    `\`apiVersion: ${kind.apiVersion}\`, ${kind.namespaced ? "in a namespace" : "one for the whole mesh"}${kind.readOnly ? ", read only" : ""}. On the command line: ${names}.`,
    ...examples.map(({ name, text }) => `## Example: ${name.replaceAll("-", " ")}\n\n\`\`\`yaml\n${text.trimEnd()}\n\`\`\``),
    `## Fields\n\n\`metadata\` has [the fields that all kinds share](metadata.md).`,
    ...own.map((field) => `### ${field.name}\n\n${table([field, ...below(field)])}`),
    ...(refused.length > 0
      ? [`## What is refused\n\nBeside values that a field does not take:\n\n| Where | What |\n|---|---|\n${refused.join("\n")}`]
      : []),
  ]
    .join("\n\n")
    .concat("\n");
}

/** The page of the fields that all kinds share. */
export function metadataPage(kind: Kind): string {
  const metadata = fieldsOf(kind).fields.filter(({ name }) => name === "metadata");
  return `# metadata\n\n${note}\n\n${table(metadata.flatMap((field) => [field, ...below(field)]))}\n`;
}

/** The page that lists the kinds. */
export function indexPage(kinds: readonly Kind[]): string {
  const rows = kinds.map((kind) => `| [${kind.kind}](${kind.singular}.md) | \`${kind.apiVersion}\` | ${cell(kind.description)} |`);
  return `# Resources\n\n${note}\n\n| Kind | apiVersion | |\n|---|---|---|\n${rows.join("\n")}\n`;
}

function table(fields: Field[]): string {
  const rows = fields.map((field) => {
    const { path, type, description, required, bounds } = about(field);
    return `| \`${path}\` | ${cell(type)}${required ? ", required" : ""} | ${cell([description, ...bounds].join(" "))} |`;
  });
  return `| Field | Type | |\n|---|---|---|\n${rows.join("\n")}`;
}

// An asterisk or bracket in a text is itself; code stays as it is.
const cell = (text: string) =>
  text
    .split(/(`[^`]*`)/)
    .map((part) => (part.startsWith("`") ? part : part.replace(/[*<>[\]\\_]/g, "\\$&")))
    .join("")
    .replaceAll("|", "\\|");

import { type Explanation, explain as explainField, type Kind, kinds } from "@weft/api/kinds";
import { type Format, print } from "../output.ts";
import { requireKind, unknownName } from "../resources/targets.ts";
import { type Column, colour, table } from "../terminal.ts";

/** What follows `weft explain` on the command line. */
export interface ExplainOptions {
  output: Format;
}

// Wider lines are hard to read.
const width = Math.min(process.stdout.columns ?? 100, 100);

/** Explains a kind or a field, `httproute.spec.rules`; without one, lists the kinds. */
export async function explain(field: string | undefined, { output }: ExplainOptions): Promise<void> {
  if (field === undefined) return print(output, kinds.map(listed), () => table(columns, [...kinds]));
  const explanation = find(field);
  return print(output, explanation, () => lines(explanation));
}

const listed = ({ kind, apiVersion, plural, singular, shortNames, namespaced, readOnly, description }: Kind) => ({
  kind,
  apiVersion,
  plural,
  singular,
  shortNames,
  namespaced,
  readOnly,
  description,
});

const columns: Column<Kind>[] = [
  { heading: "KIND", cell: ({ kind }) => kind },
  { heading: "NAMES", cell: ({ plural, singular, shortNames }) => [plural, singular, ...shortNames].join(", ") },
  { heading: "APIVERSION", cell: ({ apiVersion }) => apiVersion },
  { heading: "NAMESPACED", cell: ({ namespaced }) => String(namespaced) },
];

/** Finds what is meant by `httproute.spec.rules[0].name`; positions are left out. */
function find(field: string): Explanation {
  const [name = "", ...path] = field.replace(/\[[0-9]*\]/g, "").split(".");
  const kind = requireKind(name);
  const found = explainField(kind, path);
  if (!("unknown" in found)) return found;
  const place = found.within === "" ? kind.kind : `${kind.kind}'s ${found.within}`;
  const rest = found.known.length === 0 ? "It has no fields." : `Fields are ${found.known.join(", ")}.`;
  throw unknownName(found.unknown, `field of ${place}`, found.known, rest);
}

function lines({ kind, apiVersion, path, type, description, required, bounds, refused, fields }: Explanation): string[] {
  const head = (text: string) => colour("bold", text);
  const block = (heading: string, body: string[]) => (body.length === 0 ? [] : ["", head(heading), ...body]);
  return [
    `${head("KIND:")}     ${kind}`,
    `${head("VERSION:")}  ${apiVersion}`,
    ...(path === "" ? [] : [`${head("FIELD:")}    ${path} ${typed(type, required)}`]),
    ...block(
      "DESCRIPTION:",
      [description, ...bounds].flatMap((text) => wrap(text, 4)),
    ),
    ...block(
      "REFUSED WHEN:",
      refused.flatMap((cause) => wrap(cause, 4)),
    ),
    ...block(
      "FIELDS:",
      fields.flatMap((field) => [
        `  ${colour("bold", field.path.split(".").at(-1) ?? "")} ${typed(field.type, field.required)}`,
        ...wrap([field.description, ...field.bounds].join(" "), 6),
      ]),
    ),
  ];
}

const typed = (type: string, required: boolean) => `<${type}>${required ? " required" : ""}`;

/** A text over several lines, each after `indent` blanks. */
function wrap(text: string, indent: number): string[] {
  const broken: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && indent + line.length + 1 + word.length > width) {
      broken.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...broken, line].map((each) => " ".repeat(indent) + each);
}

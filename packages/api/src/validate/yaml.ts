import {
  type Alias,
  type Document,
  isAlias,
  isMap,
  isNode,
  isPair,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseDocument,
  type Tags,
  visit,
  type YAMLError,
} from "yaml";
import type { Fault, Path } from "./fault.ts";
import { maxAliases } from "./limits.ts";

/** Line and column, from 1. */
export interface Place {
  line: number;
  column: number;
}

/** A document of YAML or JSON: its value, and where parts of it are. */
export interface ReadDocument {
  /** Undefined when the document is empty. */
  value: unknown;
  /** Where a part of it is, or what it would be part of. */
  placeOf(path: Path, at: Fault["at"]): Place;
}

// Kubernetes reads YAML 1.1, in which yes and on are true, so that is read here too; but it takes moments and 1:30 for texts, and knows no sets.
const tags = (known: Tags) =>
  known.filter((tag) => typeof tag === "string" || !(/timestamp|binary|omap|pairs|set$/.test(tag.tag) || tag.format === "TIME"));

/** Reads the text of one document, whose first line is line `firstLine` of its file. */
export function readYaml(text: string, firstLine: number): ReadDocument | { problem: Fault; place: Place } {
  const lines = new LineCounter();
  const place = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    return { line: line + firstLine - 1, column: col };
  };
  const refuse = (cause: string, remedy: string, offset = 0, code: Fault["code"] = "WEFT-R-SYNTAX") => ({
    problem: { code, path: [], at: "value" as const, cause, remedy },
    place: place(offset),
  });
  // JSON may be indented by tabs, which YAML refuses; none can be within its strings.
  const source = /^\s*[{[]/.test(text) ? text.replaceAll("\t", " ") : text;
  const document = parseDocument(source, {
    version: "1.1",
    customTags: tags,
    merge: true,
    lineCounter: lines,
    prettyErrors: false,
    logLevel: "error",
  });
  const [first] = document.errors;
  if (first !== undefined) {
    const [cause, remedy, code] = syntaxSaid(first);
    return refuse(cause, remedy, first.pos[0], code);
  }
  const alias = strayAlias(document);
  if (alias !== undefined) {
    const [{ source: name }, cause] = alias;
    return refuse(
      `*${name} ${cause}`,
      "Put & and the name before what it stands for, or quote a text that begins with *",
      alias[0].range?.[0],
    );
  }
  try {
    const value = document.toJS({ maxAliasCount: maxAliases });
    return { value: value ?? undefined, placeOf: (path, at) => place(offsetOf(document, path, at)) };
  } catch (error) {
    // What is left to go wrong, as far as is known.
    const isBomb = error instanceof ReferenceError;
    const cause = isBomb
      ? `its aliases come to more than ${maxAliases} copies`
      : `it cannot be read: ${error instanceof Error ? error.message : error}`;
    return refuse(cause, "Write out what they stand for");
  }
}

/** An alias that stands for nothing, or for something that it is part of. */
function strayAlias(document: Document.Parsed): [Alias.Parsed, string] | undefined {
  const anchors = new Map<string, Node>();
  let found: [Alias.Parsed, string] | undefined;
  visit(document, (_key, node) => {
    if (isAlias(node)) {
      const alias = node as Alias.Parsed;
      const target = anchors.get(alias.source);
      if (target === undefined) found = [alias, "stands for nothing"];
      else if ((target.range?.[1] ?? 0) > alias.range[0]) found = [alias, "stands for what it is part of"];
    } else if (isNode(node) && node.anchor !== undefined) anchors.set(node.anchor, node);
    return found && visit.BREAK;
  });
  return found;
}

type Said = [cause: string, remedy: string, code?: Fault["code"]];

function syntaxSaid({ code, message }: YAMLError): Said {
  // JSON documents in a row.
  if (/flow-\w+-start at node end/.test(message)) return syntax.MULTIPLE_DOCS;
  return Object.hasOwn(syntax, code)
    ? syntax[code as keyof typeof syntax]
    : [`it is no YAML: ${message}`, "Correct it, or quote what is meant as a text"];
}

const syntax = {
  RESOURCE_EXHAUSTION: ["it is nested too deeply", "Nest less: no kind has more than 20 levels"],
  DUPLICATE_KEY: ["a key is there twice", "Leave one of the two out", "WEFT-R-DUPLICATE"],
  TAB_AS_INDENT: ["it is indented by a tab", "Indent by blanks"],
  BAD_INDENT: ["its indentation fits nothing above", "Indent all fields of a mapping, and all items of a list, alike"],
  MISSING_CHAR: ["a character is missing", "Close the quote, bracket or brace, or put a blank after the colon"],
  BAD_ALIAS: ["it is no alias", "Quote a text that begins with *"],
  MULTILINE_IMPLICIT_KEY: ["a key goes over several lines", "A colon is missing, or the line is indented wrongly"],
  BLOCK_AS_IMPLICIT_KEY: [
    "a mapping begins where a value ended",
    "Quote a text with a colon in it, or begin the mapping on a line of its own",
  ],
  MULTIPLE_DOCS: ["another document begins", "Put --- before it"],
} satisfies Record<string, Said>;

/** Offset in the text of what `path` leads to, or of the nearest thing around it that is there. */
function offsetOf(document: Document.Parsed, path: Path, at: Fault["at"]): number {
  let node: unknown = document.contents;
  let offset = startOf(node);
  for (const [index, step] of path.entries()) {
    const found = child(document, node, step);
    if (found === undefined) break;
    const isLast = index === path.length - 1;
    offset = isLast && at === "value" ? (startOf(found.value) ?? startOf(found.name)) : (startOf(found.name) ?? startOf(found.value));
    node = found.value;
  }
  return offset ?? 0;
}

const startOf = (node: unknown): number | undefined => (isNode(node) ? node.range?.[0] : undefined);

/** What a step leads to: the name of a field and its value, or an item. */
function child(document: Document, from: unknown, step: string | number): { name?: unknown; value: unknown } | undefined {
  const node = isAlias(from) ? from.resolve(document) : from;
  if (isSeq(node)) return typeof step === "number" && node.items[step] !== undefined ? { value: node.items[step] } : undefined;
  if (!isMap(node)) return undefined;
  const pair = node.items.find((item) => isPair(item) && isScalar(item.key) && String(item.key.value) === step);
  return pair && { name: pair.key, value: pair.value };
}

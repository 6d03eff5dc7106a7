import { defaultNamespace } from "../constants.ts";
import type { Kind } from "../kinds/kind.ts";
import { shortened } from "../shown.ts";
import { type Fault, type Path, pathText } from "./fault.ts";
import { maxDocumentBytes, maxInputBytes, maxObjects } from "./limits.ts";
import { checkObject, isMapping, type Resource } from "./object.ts";
import { decode } from "./utf8.ts";
import { type Place, readYaml } from "./yaml.ts";

/** A text with resources in it. */
export interface Source {
  /** Name for people, such as a file's path. */
  file: string;
  /** YAML or JSON; bytes must be UTF-8. */
  text: string | Uint8Array;
}

/** What is wrong, and where. */
export interface Problem extends Place {
  code: Fault["code"];
  file: string;
  /** Number of the document in its file, from 1. */
  document: number;
  /** The object in question as far as it is known, such as `HTTPRoute users`; empty when it is not. */
  object: string;
  /** `spec.rules[0].name`; empty for the whole document. */
  path: string;
  /** What is wrong: a sentence without its end, whose subject is the field. */
  cause: string;
  /** What to do. */
  remedy: string;
}

/** A resource that was read, and from where. */
export interface Read extends Place {
  file: string;
  /** Number of the document in its file, from 1. */
  document: number;
  /** `HTTPRoute default/users`, as problems name it. */
  title: string;
  kind: Kind;
  object: Resource;
  /** The object as it was written, without defaults. */
  written: Resource;
}

/**
 * Reads resources. Each object is either among `resources`, its defaults filled in, or has problems that are no warnings; nothing is thrown.
 * `namespace` is where those are that do not say it.
 */
export function readResources(sources: readonly Source[], namespace = defaultNamespace): { resources: Read[]; problems: Problem[] } {
  const resources: Read[] = [];
  const problems: Problem[] = [];
  const seen = new Map<string, Read>();
  let bytes = 0;
  let objects = 0;
  for (const { file, text } of sources) {
    const whole = { code: "WEFT-R-TOO-LARGE", file, document: 1, object: "", path: "", line: 1, column: 1 } as const;
    bytes += text.length;
    if (bytes > maxInputBytes) {
      problems.push({ ...whole, cause: `all input together is over ${mebibytes(maxInputBytes)}`, remedy: "Divide it" });
      break;
    }
    const decoded = typeof text === "string" ? { text: text.replace(/^\ufeff/, "") } : decode(text);
    if ("line" in decoded) {
      problems.push({
        ...whole,
        code: "WEFT-R-ENCODING",
        line: decoded.line,
        cause: "a line is not UTF-8",
        remedy: "Save the file as UTF-8",
      });
      continue;
    }
    for (const part of split(decoded.text)) {
      for (const outcome of readDocument(part)) {
        objects += 1;
        if (objects > maxObjects) {
          const place = { document: part.document, line: part.line };
          problems.push({ ...whole, ...place, cause: `there are more than ${maxObjects} objects`, remedy: "Divide them" });
          return { resources, problems };
        }
        const found = outcome.read && { ...outcome.read, file };
        problems.push(...outcome.problems.map((problem) => ({ ...problem, file })));
        if (found === undefined) continue;
        const key = JSON.stringify([found.kind.kind, found.object.metadata.namespace ?? namespace, found.object.metadata.name]);
        const earlier = seen.get(key);
        if (earlier === undefined) {
          seen.set(key, found);
          resources.push(found);
        } else problems.push(twice(found, earlier));
      }
    }
  }
  return { resources, problems };
}

const mebibytes = (bytes: number) => `${bytes / 1024 / 1024} MiB`;

/** Part of a file that holds one document. */
interface Part {
  text: string;
  document: number;
  /** Its first line in the file, from 1. */
  line: number;
}

// Lines that are more than blank, a comment, or the begin or end of a document; and those that are no directive either.
const content = /^(?![ \t\r]*(?:#|$)|(?:---|\.\.\.)[ \t\r]*(?:#|$))/m;
const beyondDirectives = /^(?![ \t\r]*(?:#|$)|%)/m;

/** The documents of a text: lines that begin with `---` divide them. Those without anything but comments are left out. */
function split(text: string): Part[] {
  const parts: Part[] = [];
  let line = 1;
  let start = 0;
  const add = (end: number) => {
    const part = text.slice(start, end);
    if (content.test(part)) parts.push({ text: part, document: parts.length + 1, line });
    for (let at = text.indexOf("\n", start); at >= 0 && at < end; at = text.indexOf("\n", at + 1)) line += 1;
    start = end;
  };
  for (const { index } of text.matchAll(/^---(?=[ \t\r\n]|$)/gm)) {
    const before = text.slice(start, index);
    // Directives belong to the document that begins here.
    if (!content.test(before) || beyondDirectives.test(before)) add(index);
  }
  add(text.length);
  return parts;
}

interface Outcome {
  read?: Omit<Read, "file">;
  problems: Omit<Problem, "file">[];
}

/** Objects of a document: one, or the items of a list. */
function readDocument({ text, document, line }: Part): Outcome[] {
  const problem = (fault: Fault, place: Place, object = "", base: Path = []) => {
    const { code, cause, remedy } = fault;
    return { code, document, object, path: pathText([...base, ...fault.path]), cause, remedy, ...place };
  };
  if (text.length > maxDocumentBytes) {
    const cause = `the document has ${text.length} characters, and at most ${mebibytes(maxDocumentBytes)} are allowed`;
    const fault: Fault = { code: "WEFT-R-TOO-LARGE", path: [], at: "value", cause, remedy: "Divide it into documents, with --- between" };
    return [{ problems: [problem(fault, { line, column: 1 })] }];
  }
  const read = readYaml(text, line);
  if ("problem" in read) return [{ problems: [problem(read.problem, read.place)] }];
  if (read.value === undefined) return [];
  return objectsIn(read.value).map(({ base, value }) => {
    const checked = checkObject(value);
    const isFine = checked.object !== undefined;
    const problems = (isFine ? checked.warnings : checked.faults)
      .map((fault) => problem(fault, read.placeOf([...base, ...fault.path], fault.at), titleOf(value), base))
      .sort((a, b) => a.line - b.line || a.column - b.column);
    if (!isFine) return { problems };
    return {
      problems,
      read: {
        document,
        ...read.placeOf(base, "value"),
        title: titleOf(value),
        kind: checked.kind,
        object: checked.object,
        written: value as Resource,
      },
    };
  });
}

/** The value itself, or the items of a list as `kubectl get` prints it: of kind List, or of a kind's name with List after it. */
function objectsIn(value: unknown): { base: Path; value: unknown }[] {
  if (!isMapping(value) || !String(value.kind).endsWith("List") || !(Array.isArray(value.items) || value.kind === "List"))
    return [{ base: [], value }];
  return (Array.isArray(value.items) ? value.items : []).map((item, index) => ({ base: ["items", index], value: item }));
}

function titleOf(value: unknown): string {
  if (!isMapping(value) || typeof value.kind !== "string") return "";
  const { name, namespace } = isMapping(value.metadata) ? value.metadata : {};
  if (typeof name !== "string") return shortened(value.kind);
  return `${shortened(value.kind)} ${typeof namespace === "string" ? `${shortened(namespace)}/` : ""}${shortened(name)}`;
}

function twice(found: Read, earlier: Read): Problem {
  const { file, document, line, column, title } = found;
  const place = `${earlier.file}:${earlier.line}`;
  const path = "metadata.name";
  const cause = `the same object is described at ${place} already`;
  return {
    code: "WEFT-R-DUPLICATE",
    file,
    document,
    line,
    column,
    object: title,
    path,
    cause,
    remedy: "Leave one of the two out",
  };
}

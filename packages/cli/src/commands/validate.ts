import { isWarning, maxInputBytes, type Problem, type Read, readResources, type Source } from "@weft/api/kinds";
import { WeftError } from "@weft/api/light";
import { cliError, usageError } from "../errors.ts";
import { filesOf, readBytes } from "../input.ts";
import { nothing } from "../numbers.ts";
import { complain, type Format, print } from "../output.ts";
import { type Column, table } from "../terminal.ts";

/** What follows `weft validate` on the command line. */
export interface ValidateOptions {
  output: Format;
  filename?: string[];
  recursive: boolean;
}

/** An object of the input, as far as it is known, and whether it is fine. */
interface Row {
  kind: string;
  name: string;
  file: string;
  document: number;
  line: number;
  result: "valid" | "refused";
  warnings: number;
}

/** Checks documents: each object on standard output, each problem on standard error. Answers the exit code. */
export async function validate({ filename = [], recursive, output }: ValidateOptions): Promise<number> {
  if (filename.length === 0) throw usageError("What to check is missing.", "For example: weft validate -f routes.yaml");
  const { sources, failures } = await readAll(filename, recursive);
  const { resources, problems } = readResources(sources);
  if (resources.length + problems.length + failures.length === 0) {
    failures.push(cliError("WEFT-L-NO-OBJECTS", `There are no objects in ${filename.map((path) => JSON.stringify(path)).join(", ")}.`));
  }
  const refusals = problems.filter((problem) => !isWarning(problem));
  const isFine = refusals.length + failures.length === 0;
  const rows = rowsOf(resources, problems);
  if (output !== "table" || rows.length > 0) await print(output, { valid: isFine, objects: rows, problems }, () => table(columns, rows));
  for (const failure of failures) complain(failure);
  for (const problem of problems) complain(errorOf(problem));
  return isFine ? 0 : 1;
}

/** What is to be read, and what of it cannot be. Of all together hardly more is held than may be checked. */
async function readAll(paths: string[], recursive: boolean): Promise<{ sources: Source[]; failures: WeftError[] }> {
  const sources: Source[] = [];
  const failures: WeftError[] = [];
  let room = maxInputBytes;
  const attempt = async <Value>(read: () => Value | Promise<Value>): Promise<Value | undefined> => {
    try {
      return await read();
    } catch (error) {
      if (!(error instanceof WeftError)) throw error;
      failures.push(error);
      return undefined;
    }
  };
  for (const path of paths) {
    for (const file of (await attempt(() => filesOf(path, recursive))) ?? []) {
      const bytes = await attempt(() => readBytes(file, Math.max(0, room)));
      if (bytes === undefined) continue;
      room -= bytes.length;
      sources.push({ file: file === "-" ? "standard input" : file, text: bytes });
      if (room < 0) return { sources, failures };
    }
  }
  return { sources, failures };
}

function rowsOf(resources: Read[], problems: Problem[]): Row[] {
  const rows = new Map<string, Row>();
  const at = ({ file, document, object }: { file: string; document: number; object: string }) => JSON.stringify([file, document, object]);
  for (const { file, document, line, title } of resources) {
    rows.set(at({ file, document, object: title }), { ...named(title), file, document, line, result: "valid", warnings: 0 });
  }
  for (const problem of problems) {
    const { file, document, line, object } = problem;
    const row = rows.get(at(problem)) ?? { ...named(object), file, document, line, result: "refused", warnings: 0 };
    if (isWarning(problem)) row.warnings += 1;
    else row.result = "refused";
    rows.set(at(problem), row);
  }
  return [...rows.values()];
}

function named(title: string): { kind: string; name: string } {
  const [kind = "", ...name] = title.split(" ");
  return { kind, name: name.join(" ") };
}

const columns: Column<Row>[] = [
  { heading: "KIND", cell: ({ kind }) => kind || nothing },
  { heading: "NAME", cell: ({ name }) => name || nothing },
  { heading: "PLACE", cell: ({ file, line }) => `${file}:${line}` },
  {
    heading: "RESULT",
    cell: ({ result, warnings }) => `${result}${warnings > 0 ? `, ${warnings} ${warnings === 1 ? "warning" : "warnings"}` : ""}`,
    colour: ({ result, warnings }) => (result === "refused" ? "red" : warnings > 0 ? "yellow" : "green"),
  },
];

function errorOf(problem: Problem): WeftError {
  const { file, line, column, object, path, cause, remedy, code } = problem;
  const place = [`${isWarning(problem) ? "warning: " : ""}${file}:${line}:${column}`, object, path].filter(Boolean).join(": ");
  return new WeftError(code, `${place}: ${cause}`, remedy);
}

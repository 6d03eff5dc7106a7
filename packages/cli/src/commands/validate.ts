import { isWarning, type Problem, type Read } from "@weft/api/kinds";
import { nothing } from "../numbers.ts";
import { complain, type Format, print } from "../output.ts";
import { type Filenames, readDocuments } from "../resources/documents.ts";
import { problemError } from "../resources/problems.ts";
import { type Column, table } from "../terminal.ts";

/** What follows `weft validate` on the command line. */
export interface ValidateOptions extends Filenames {
  output: Format;
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
export async function validate({ output, ...options }: ValidateOptions): Promise<number> {
  const { resources, problems, failures } = await readDocuments(options, "validate");
  const refusals = problems.filter((problem) => !isWarning(problem));
  const isFine = refusals.length + failures.length === 0;
  const rows = rowsOf(resources, problems);
  if (output !== "table" || rows.length > 0) await print(output, { valid: isFine, objects: rows, problems }, () => table(columns, rows));
  for (const failure of failures) complain(failure);
  for (const problem of problems) complain(problemError(problem));
  return isFine ? 0 : 1;
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

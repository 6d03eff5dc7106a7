import { isWarning, type Problem } from "@weft/api/kinds";
import { WeftError } from "@weft/api/light";

/** A problem of a document as an error: place, object, field, cause, remedy. */
export function problemError(problem: Problem): WeftError {
  const { file, line, column, object, path, cause, remedy, code } = problem;
  const place = [`${isWarning(problem) ? "warning: " : ""}${file}:${line}:${column}`, object, path].filter(Boolean).join(": ");
  return new WeftError(code, `${place}: ${cause}`, remedy);
}

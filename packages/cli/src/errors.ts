import { type CatalogueEntry, WeftError } from "@weft/api/light";

/** Codes of the command line. A code is never reused. */
export const cliErrorCatalogue = {
  "WEFT-L-NOT-INSTALLED": { meaning: "The repository's packages are not installed yet.", action: "Run `npm start` in it once." },
  "WEFT-L-NODE-MISSING": { meaning: "No Node 24 or newer was found.", action: "Run `npm install` in the repository." },
  "WEFT-L-USAGE": { meaning: "The command line cannot be understood.", action: "`weft help COMMAND` shows examples." },
  "WEFT-L-BINARY-MISSING": {
    meaning: "weft-launch or weft-proxy has not been built.",
    action: "Run `cargo build --release` in the repository, or `npm start`.",
  },
  "WEFT-L-CONTROLLER-START-FAILED": {
    meaning: "The controller ended at its start, or did not answer in time.",
    action: "The message holds what it said last; `weft logs controller` shows all.",
  },
  "WEFT-L-CONTROLLER-STOP-FAILED": {
    meaning: "The controller accepted the request to end and still answers.",
    action: "End its process; the message names it.",
  },
  "WEFT-L-SERVICE-UNKNOWN": { meaning: "No service has this name.", action: "`weft status` lists the services." },
  "WEFT-L-LOG-UNKNOWN": {
    meaning: "There is no log of this name, or it was deleted.",
    action: "Name a service, a workload's id, or `controller`.",
  },
  "WEFT-L-FILE-UNREADABLE": {
    meaning: "A file or folder that the command line names cannot be read.",
    action: "Check its name and who may read it.",
  },
  "WEFT-L-FILE-PRESENT": {
    meaning: "A file that was to be written is there already.",
    action: "Name another one, or replace it by `--yes`.",
  },
  "WEFT-L-FILE-UNWRITABLE": {
    meaning: "A file that the command line names cannot be written.",
    action: "Check its folder, who may write there, and whether the disk is full.",
  },
  "WEFT-L-NO-OBJECTS": {
    meaning: "What the command line names has no objects in it.",
    action: "Name files, or folders with .yaml, .yml or .json files; `-R` looks in folders below, too.",
  },
  "WEFT-L-KIND-READ-ONLY": {
    meaning: "A document describes an object of a kind that the controller alone writes.",
    action: "Leave it out. Workloads come and go with programs: `weft run`.",
  },
  "WEFT-L-NOT-IN-FORCE": {
    meaning: "An object that was waited for does not do what it says, or only in part, and that stays so until something is changed.",
    action: "The message says why; `weft describe KIND/NAME` says more.",
  },
  "WEFT-L-WAIT-TIMEOUT": {
    meaning: "What was waited for did not come about in time.",
    action: "The message says what is missing. Wait longer by `--timeout`.",
  },
  "WEFT-L-EDIT-REFUSED": {
    meaning: "An edited object was not taken, or somebody else changed it meanwhile. The text was kept.",
    action: "Mend the text, which the message names, and apply it: `weft apply -f FILE`.",
  },
  "WEFT-L-EDITOR-FAILED": {
    meaning: "The editor could not be started, or ended with an error.",
    action: "Name one in EDITOR, for example `EDITOR=vi weft edit httproute users`.",
  },
  "WEFT-L-RESTORE-FAILED": {
    meaning: "A backup was not restored, and what was there before is there still.",
    action: "The message says why.",
  },
  "WEFT-L-DEMO-FAILED": { meaning: "The demo could not run to its end.", action: "The message says what failed; `weft check` says more." },
  "WEFT-L-INTERNAL": { meaning: "A fault in the command line.", action: "Please report it with the command." },
} satisfies Record<string, CatalogueEntry>;

/** Code of an error in `cliErrorCatalogue`. */
export type CliErrorCode = keyof typeof cliErrorCatalogue;

/** Makes an error of the command line; the hint is the catalogue's action unless told. */
export function cliError(code: CliErrorCode, message: string, hint: string = cliErrorCatalogue[code].action, cause?: unknown): WeftError {
  return new WeftError(code, message, hint, cause === undefined ? undefined : { cause });
}

/** The command line cannot be understood: exit code 2. */
export function usageError(message: string, hint?: string): WeftError {
  return cliError("WEFT-L-USAGE", message, hint);
}

/** Exit codes: 0 worked, 1 failed, 2 the command line cannot be understood. */
export function exitCode(error: unknown): number {
  return error instanceof WeftError && (error.code === "WEFT-L-USAGE" || error.code === "WEFT-C-NAME-INVALID") ? 2 : 1;
}

/** One line for people: what happened. What to do next. (CODE) */
export function describe(error: unknown): string {
  if (!(error instanceof WeftError))
    return describe(cliError("WEFT-L-INTERNAL", error instanceof Error ? (error.stack ?? error.message) : String(error)));
  return `weft: ${[error.message, error.hint].filter(Boolean).map(sentence).join(" ").replace("\n ", "\n")} (${error.code})`;
}

function sentence(text: string): string {
  return /[.!?:`"\n]$/.test(text) ? text : `${text}.`;
}

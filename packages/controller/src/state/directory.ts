import { accessSync, chmodSync, constants, lstatSync, mkdirSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { maxSocketPath, type StatePaths, weftError } from "@weft/api";

/** Makes the state directory ready: 0700, ours, writable, and short enough for unix sockets. Throws a WEFT-C-STATE-... error. */
export function prepareStateDirectory(paths: StatePaths): void {
  const { directory, controlSocket } = paths;
  const length = Buffer.byteLength(controlSocket);
  if (length > maxSocketPath) {
    throw weftError(
      "WEFT-C-STATE-PATH-TOO-LONG",
      `${controlSocket} has ${length} bytes, and a unix socket's path at most ${maxSocketPath}.`,
    );
  }
  create(directory);
  const found = statSync(directory);
  if (!found.isDirectory()) throw weftError("WEFT-C-STATE-NOT-DIRECTORY", `${directory} is no directory.`);
  const user = process.getuid?.() ?? found.uid;
  if (found.uid !== user) throw weftError("WEFT-C-STATE-NOT-OURS", `${directory} belongs to user ${found.uid}, and this is user ${user}.`);
  try {
    if ((found.mode & 0o777) !== 0o700) chmodSync(directory, 0o700);
    accessSync(directory, constants.W_OK | constants.X_OK);
    mkdirSync(paths.logs, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw unwritable(directory, cause);
  }
}

function create(directory: string): void {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === "EEXIST" || code === "ENOTDIR") {
      throw weftError("WEFT-C-STATE-NOT-DIRECTORY", `${blocking(directory)} is no directory.`, { cause });
    }
    throw unwritable(directory, cause);
  }
}

// The part of the path that is in the way.
function blocking(path: string): string {
  for (let part = path; part !== dirname(part); part = dirname(part)) {
    if (lstatSync(part, { throwIfNoEntry: false }) !== undefined) return part;
  }
  return path;
}

function unwritable(directory: string, cause: unknown): Error {
  return weftError("WEFT-C-STATE-UNWRITABLE", `The state directory ${directory} cannot be written: ${(cause as Error).message}.`, {
    cause,
  });
}

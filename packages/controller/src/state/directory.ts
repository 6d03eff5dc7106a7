import { accessSync, chmodSync, constants, existsSync, mkdirSync, statSync } from "node:fs";
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
    makeDirectories(paths.logs);
  } catch (cause) {
    throw unwritable(directory, cause);
  }
}

function create(directory: string): void {
  try {
    makeDirectories(directory);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === "EEXIST" || code === "ENOTDIR") {
      throw weftError("WEFT-C-STATE-NOT-DIRECTORY", `${blocking(directory)} is no directory.`, { cause });
    }
    throw unwritable(directory, cause);
  }
}

// Node's own recursive mkdir never ends where a directory cannot be made although its parent exists, as in /proc.
function makeDirectories(path: string): void {
  if (existsSync(path)) return;
  makeDirectories(dirname(path));
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
}

// The part of the path that is in the way: the longest that exists.
function blocking(path: string): string {
  return existsSync(path) || path === dirname(path) ? path : blocking(dirname(path));
}

function unwritable(directory: string, cause: unknown): Error {
  return weftError("WEFT-C-STATE-UNWRITABLE", `The state directory ${directory} cannot be written: ${(cause as Error).message}.`, {
    cause,
  });
}

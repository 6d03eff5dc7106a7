import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  fchmodSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  statSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { WeftError, weftError } from "./errors.ts";
import { maxSocketPath, type StatePaths } from "./state.ts";

/**
 * Makes the state directory ready: 0700, ours, writable, short enough for unix sockets, and with nothing in it that leads elsewhere. Nothing is made or
 * changed before it is known to be ours. Throws a WEFT-C-STATE-... error.
 */
export function prepareStateDirectory(paths: StatePaths): void {
  const { directory, controlSocket, logs } = paths;
  const length = Buffer.byteLength(controlSocket);
  if (length > maxSocketPath) {
    throw weftError(
      "WEFT-C-STATE-PATH-TOO-LONG",
      `${controlSocket} has ${length} bytes, and a unix socket's path at most ${maxSocketPath}.`,
    );
  }
  create(directory);
  checkOwner(directory);
  try {
    close(directory);
    accessSync(directory, constants.W_OK | constants.X_OK);
  } catch (cause) {
    throw unwritable(directory, cause);
  }
  checkContent(paths);
  try {
    makeDirectories(logs);
  } catch (cause) {
    throw unwritable(directory, cause);
  }
}

/**
 * Throws WEFT-C-STATE-NOT-OURS when a state directory is another user's, or is behind another user's symbolic link. One's own link, for example to a larger
 * disk, is followed, and what does not exist is nobody's.
 */
export function checkOwner(directory: string): void {
  for (const look of [lstatSync, statSync]) {
    const found = look(directory, { throwIfNoEntry: false });
    const user = process.getuid?.() ?? found?.uid;
    if (found === undefined || found.uid === user) continue;
    throw weftError("WEFT-C-STATE-NOT-OURS", `${directory} belongs to user ${found.uid}, and this is user ${user}.`);
  }
}

// By its descriptor: what is changed is what was looked at.
function close(directory: string): void {
  const descriptor = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    if ((fstatSync(descriptor).mode & 0o777) !== 0o700) fchmodSync(descriptor, 0o700);
  } finally {
    closeSync(descriptor);
  }
}

// Others could enter and write before the directory was closed to them. What they put there must not be followed, written or believed.
function checkContent({ directory, registry, objects, lock, access, ca, logs }: StatePaths): void {
  for (const folder of [ca, `${ca}.new`, logs]) checkEntry(folder, "directory");
  const files = [
    lock,
    `${lock}.new`,
    access,
    `${access}.new`,
    ...[registry, objects].flatMap((file) => ["", "-wal", "-shm", "-journal"].map((end) => file + end)),
  ];
  const within = [ca, `${ca}.new`, logs].flatMap((folder) =>
    existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : [],
  );
  for (const file of [...files, ...within]) checkEntry(file, "file");

  function checkEntry(path: string, kind: "file" | "directory"): void {
    const found = lstatSync(path, { throwIfNoEntry: false });
    if (found === undefined) return;
    const refuse = (what: string) => weftError("WEFT-C-STATE-UNSAFE", `${path}, in the state directory ${directory}, ${what}.`);
    if (found.isSymbolicLink()) throw refuse("is a symbolic link, which is not followed there");
    if (process.getuid && found.uid !== process.getuid())
      throw refuse(`belongs to user ${found.uid}, and this is user ${process.getuid()}`);
    if (kind === "file" ? !found.isFile() : !found.isDirectory()) throw refuse(`is no ${kind}`);
  }
}

function create(directory: string): void {
  try {
    makeDirectories(directory);
    if (!statSync(directory).isDirectory()) throw weftError("WEFT-C-STATE-NOT-DIRECTORY", `${directory} is no directory.`);
  } catch (cause) {
    if (cause instanceof WeftError) throw cause;
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

import { spawnSync } from "node:child_process";
import { accessSync, chmodSync, constants, cpSync, existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { root } from "./programs.ts";

/** A user as a command prefix: what it starts runs as that user. */
export interface User {
  /** Goes before a command, for example `["setpriv", ..., "--"]`. */
  prefix: string[];
  uid: number;
  gid: number;
  /** Copy of the repository that the user may read, when it may not read this one. */
  root: string;
  /** Network in which its programs start, as "net:[4026531840]", when it is not that of the tests: it outlives a mesh. */
  network?: string;
}

// No account has this number; nothing of Weft may need one.
const ordinaryId = 54_321;

const become = (uid: number, gid: number) => [
  "setpriv",
  `--reuid=${uid}`,
  `--regid=${gid}`,
  "--clear-groups",
  "--inh-caps=-all",
  "--no-new-privs",
  "--",
];

function canRead(prefix: string[], path: string): boolean {
  const [program = "test", ...args] = [...prefix, "test", "-r", path];
  return spawnSync(program, args).status === 0;
}

/** What running Weft needs of the repository, as hard links below the temporary folder: some checkouts lie where only their owner may look. */
function readableRoot(prefix: string[]): string {
  if (canRead(prefix, join(root, "bin", "weft"))) return root;
  const copy = join(tmpdir(), `weft-for-users-${process.getuid?.()}`);
  rmSync(copy, { recursive: true, force: true });
  mkdirSync(copy, { mode: 0o755 });
  for (const part of ["bin", "packages", "node_modules", "e2e/fixtures", "target/release/weft-proxy", "target/release/weft-launch"]) {
    mkdirSync(dirname(join(copy, part)), { recursive: true });
    if (spawnSync("cp", ["-al", join(root, part), join(copy, part)]).status !== 0)
      cpSync(join(root, part), join(copy, part), { recursive: true });
  }
  process.once("exit", () => rmSync(copy, { recursive: true, force: true }));
  return copy;
}

/** The user who runs the tests, or one without any privilege when that is root. */
export function ordinaryUser(): User {
  const [uid, gid] = [process.getuid?.() ?? 0, process.getgid?.() ?? 0];
  if (uid !== 0) return { prefix: [], uid, gid, root };
  const prefix = become(ordinaryId, ordinaryId);
  return { prefix, uid: ordinaryId, gid: ordinaryId, root: readableRoot(prefix) };
}

/** Prefix for programs that refuse to run as root: they run as "nobody". Empty when the tests are not run by root. */
export function notRoot(): string[] {
  return process.getuid?.() === 0 ? become(65_534, 65_534) : [];
}

/** A new folder below the temporary one, for `user` or for everybody. */
export function temporaryFolder(user?: Pick<User, "uid" | "gid">): string {
  const folder = mkdtempSync(join(tmpdir(), "weft-test-"));
  if (user && process.getuid?.() === 0) spawnSync("chown", [`${user.uid}:${user.gid}`, folder]);
  else if (!user) chmodSync(folder, 0o755);
  return folder;
}

/** True when `path` may be written by the tests' own user. */
export function isWritable(path: string): boolean {
  try {
    if (!existsSync(path)) return false;
    accessSync(path, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

import { readFile, stat, statfs } from "node:fs/promises";
import { dirname } from "node:path";
import { statePaths } from "@weft/api/light";
import { type Binary, lookForBinary } from "./paths.ts";

/** What the checks of this machine are about. */
export interface MachineFacts {
  /** Version of Node that runs this. */
  node: string;
  platform: string;
  /** Number of the user; undefined where users have none. */
  uid: number | undefined;
  binaries: { name: "weft-launch" | "weft-proxy"; found: Binary | undefined }[];
  /** Settings of the kernel below /proc/sys, by path; without those that this kernel does not have. */
  sysctls: Partial<Record<Sysctl, string>>;
  state: StateFacts;
}

/** What is at the path of the state directory. */
export interface StateFacts {
  path: string;
  /** Bytes of the longest path of a socket in it. */
  socketPathBytes: number;
  /** The directory; undefined when there is none yet. */
  found: { isDirectory: boolean; uid: number; mode: number } | undefined;
  /** Free space for this user on its disk, or on that where it would be made; undefined when it cannot be told. */
  free: { bytes: number; files: number } | undefined;
  /** Why it cannot be looked at; undefined when it can. */
  error: string | undefined;
}

/** Settings that decide whether a program can have its own network namespace. */
export const sysctls = [
  "user/max_user_namespaces",
  "user/max_net_namespaces",
  "kernel/unprivileged_userns_clone",
  "kernel/apparmor_restrict_unprivileged_userns",
] as const;
/** One of `sysctls`. */
export type Sysctl = (typeof sysctls)[number];

/** Looks at this machine. */
export async function lookAtMachine(stateDir: string): Promise<MachineFacts> {
  const names = ["weft-launch", "weft-proxy"] as const;
  return {
    node: process.versions.node,
    platform: process.platform,
    uid: process.getuid?.(),
    binaries: await Promise.all(names.map(async (name) => ({ name, found: await lookForBinary(name) }))),
    sysctls: Object.fromEntries(await Promise.all(sysctls.map(async (path) => [path, await sysctl(path)]))),
    state: await stateFacts(stateDir),
  };
}

async function sysctl(path: Sysctl): Promise<string | undefined> {
  return readFile(`/proc/sys/${path}`, "utf8").then(
    (text) => text.trim(),
    () => undefined,
  );
}

async function stateFacts(path: string): Promise<StateFacts> {
  const facts = { path, socketPathBytes: Buffer.byteLength(statePaths(path).controlSocket), free: await freeSpace(path) };
  try {
    const found = await stat(path);
    return { ...facts, found: { isDirectory: found.isDirectory(), uid: found.uid, mode: found.mode & 0o777 }, error: undefined };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return { ...facts, found: undefined, error: code === "ENOENT" ? undefined : message };
  }
}

// Of the nearest directory that exists.
async function freeSpace(path: string): Promise<StateFacts["free"]> {
  try {
    const { bavail, bsize, ffree, files } = await statfs(path);
    // Some file systems count no files.
    return { bytes: bavail * bsize, files: files === 0 ? Number.POSITIVE_INFINITY : ffree };
  } catch (error) {
    const parent = dirname(path);
    return (error as NodeJS.ErrnoException).code === "ENOENT" && parent !== path ? freeSpace(parent) : undefined;
  }
}

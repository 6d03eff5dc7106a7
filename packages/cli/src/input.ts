import { createReadStream, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { cliError } from "./errors.ts";

/** Files that are read of a folder. */
const isDocument = (name: string) => /\.(yaml|yml|json)$/.test(name);

/** Paths of the files that `path` stands for: itself, or the documents of a folder, in order of their names. */
export function filesOf(path: string, recursive: boolean): string[] {
  if (path === "-") return [path];
  try {
    if (!statSync(path).isDirectory()) return [path];
    const entries = readdirSync(path, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1));
    return entries.flatMap((entry) => {
      const inner = join(path, entry.name);
      if (entry.isDirectory()) return recursive ? filesOf(inner, true) : [];
      return isDocument(entry.name) ? [inner] : [];
    });
  } catch (error) {
    throw unreadable(path, error);
  }
}

/** Reads a file, or standard input for `-`, up to a byte more than `most`. */
export async function readBytes(path: string, most: number): Promise<Uint8Array> {
  const stream: Readable = path === "-" ? process.stdin : createReadStream(path);
  const chunks: Uint8Array[] = [];
  let room = most + 1;
  try {
    for await (const chunk of stream) {
      chunks.push((chunk as Buffer).subarray(0, room));
      room -= Math.min(room, (chunk as Buffer).length);
      if (room === 0) break;
    }
  } catch (error) {
    throw unreadable(path, error);
  }
  return Buffer.concat(chunks);
}

function unreadable(path: string, error: unknown) {
  const { code } = error as NodeJS.ErrnoException;
  const reasons: Record<string, string> = {
    ENOENT: "there is no such file or folder",
    EACCES: "you may not read it",
    EISDIR: "it is a folder",
  };
  const reason = reasons[code ?? ""] ?? (error instanceof Error ? error.message : String(error));
  return cliError("WEFT-L-FILE-UNREADABLE", `${JSON.stringify(path)} cannot be read: ${reason}.`, undefined, error);
}

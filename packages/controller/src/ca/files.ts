import { randomBytes } from "node:crypto";
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { weftError } from "@weft/api";
import { Authority, createRoot } from "./authority.ts";

const names = { certificate: "root.pem", key: "root.key", credential: "credential.key" };

/** What is kept in the directory `ca`. */
export interface CaState {
  authority: Authority;
  /** Key that signs credentials. */
  credentialKey: Buffer;
}

/** Reads the certificate authority, or makes one when there is none. Throws WEFT-C-CA-UNREADABLE. */
export async function openCa(directory: string): Promise<CaState> {
  if (!existsSync(directory)) await create(directory);
  try {
    const read = (name: string) => readFileSync(join(directory, name));
    const credentialKey = read(names.credential);
    if (credentialKey.length < 32) throw new Error(`${names.credential} is too short`);
    const authority = await Authority.open({ certificate: read(names.certificate).toString(), key: read(names.key).toString() });
    return { authority, credentialKey };
  } catch (cause) {
    throw weftError("WEFT-C-CA-UNREADABLE", `The certificate authority in ${directory} cannot be used: ${(cause as Error).message}.`, {
      cause,
    });
  }
}

// Complete or not at all: everything is durable before it gets its name.
async function create(directory: string): Promise<void> {
  const root = await createRoot();
  const temporary = `${directory}.new`;
  rmSync(temporary, { recursive: true, force: true });
  mkdirSync(temporary, { mode: 0o700 });
  writeDurably(join(temporary, names.certificate), root.certificate);
  writeDurably(join(temporary, names.key), root.key);
  writeDurably(join(temporary, names.credential), randomBytes(32));
  syncPath(temporary);
  renameSync(temporary, directory);
  syncPath(dirname(directory));
}

function writeDurably(path: string, content: string | Buffer): void {
  writeFileSync(path, content, { mode: 0o600, flag: "wx", flush: true });
}

function syncPath(path: string): void {
  const descriptor = openSync(path, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

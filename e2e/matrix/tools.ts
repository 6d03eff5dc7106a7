import assert from "node:assert/strict";
import { type Ended, type Mesh, succeed } from "@weft/testkit";

/** What a case does its work with. */
export interface Tools {
  mesh: Mesh;
  /** Folder that everybody may read and write. */
  folder: string;
  /** Runs a client in a namespace of its own; it must succeed. Answers its standard output without the last line's end. */
  client: (command: string[], timeoutMs?: number) => Promise<string>;
  /** The same for a client that may fail. */
  attempt: (command: string[], timeoutMs?: number) => Promise<Ended>;
}

/** One thing that a client and a server do with each other. */
export interface Case {
  what: string;
  run: (tools: Tools) => Promise<void>;
}

/** A client program and a server program, and what they do. */
export interface Pair {
  client: string;
  server: string;
  cases: Case[];
}

/** The tools for clients that are called `name`. */
export function toolsFor(mesh: Mesh, name: string): Tools {
  const attempt = (command: string[], timeoutMs = 60_000) => mesh.call(name, command, { timeoutMs });
  const client = async (command: string[], timeoutMs?: number) => {
    const { code, stdout, stderr } = await attempt(command, timeoutMs);
    assert.equal(code, 0, `${command.join(" ").slice(0, 300)}\n${stdout.slice(-2000)}${stderr}`);
    return stdout.trimEnd();
  };
  return { mesh, folder: mesh.folder, client, attempt };
}

/** Runs a program of this machine, outside the mesh; it must succeed. */
export const prepare = (program: string, ...args: string[]) => succeed(program, args);

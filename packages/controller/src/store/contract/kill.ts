import { spawnSync } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Operation } from "./concurrent.ts";

/** Writes that are interrupted by a kill. */
export interface Killing {
  /** Address of the module that opens the store, the name of its function, and what that is given. */
  open: [module: string, opener: string, place: string];
  resource: string;
  /** What is written. */
  seed: number;
  /** The kill comes a moment after so many answers. */
  answers: number;
  /** File for what is asked and answered. */
  log: string;
}

/** Writes to a store in a process of its own until it is killed, and answers what was asked for from which revision on, and what was answered. */
export function killWhileWriting({ open, resource, seed, answers, log }: Killing): { start: string; operations: Operation[] } {
  const writer = fileURLToPath(new URL("./writer.ts", import.meta.url));
  const out = openSync(log, "w");
  const args = [writer, ...open, resource, String(seed), String(answers)];
  const { signal, stderr } = spawnSync(process.execPath, args, { stdio: ["ignore", out, "pipe"], encoding: "utf8" });
  closeSync(out);
  if (signal !== "SIGKILL") throw new Error(`the writer ended by itself: ${stderr}`);
  const underWay = new Map<number, Operation>();
  const done: Operation[] = [];
  let start = "";
  for (const line of readFileSync(log, "utf8").split("\n").slice(0, -1)) {
    const { start: first, client = 0, asked, heard } = JSON.parse(line) as Said;
    start ||= first ?? "";
    // What was not answered may have happened at any time.
    if (asked) underWay.set(client, { ...asked, ended: Number.POSITIVE_INFINITY });
    if (!heard) continue;
    done.push({ ...(underWay.get(client) as Operation), ...heard });
    underWay.delete(client);
  }
  return { start, operations: [...done, ...underWay.values()] };
}

interface Said {
  start?: string;
  client?: number;
  asked?: Operation;
  heard?: Partial<Operation>;
}

import { readdirSync, readFileSync, statSync } from "node:fs";
import type { Survivor } from "../mesh.ts";

/** The workload of a launcher's command line, if it is one on `stateDir`. */
export function survivorOf(commandLine: string[], stateDir: string): Omit<Survivor, "pid"> | undefined {
  const [program = "", ...rest] = commandLine;
  if (!program.endsWith("weft-launch")) return undefined;
  const own = rest.slice(0, rest.indexOf("--"));
  const value = (flag: string) => {
    const at = own.indexOf(flag);
    return at < 0 ? undefined : own[at + 1];
  };
  const [id, service, namespace, address] = ["--workload", "--service", "--namespace", "--address"].map(value);
  if (id === undefined || service === undefined || namespace === undefined || address === undefined) return undefined;
  if (value("--state") !== stateDir) return undefined;
  return { id, service, namespace, address, virtualAddress: value("--virtual-address") };
}

/** Workloads whose launchers this user runs on `stateDir` now, whatever the registry knows of them. Empty where there is no /proc. */
export function survivors(stateDir: string): Survivor[] {
  return processNumbers().flatMap((pid) => {
    const survivor = isOwn(pid) ? survivorOf(commandLineOf(pid), stateDir) : undefined;
    return survivor === undefined ? [] : [{ ...survivor, pid: Number(pid) }];
  });
}

// Anybody can start a process that is called like a launcher.
function isOwn(pid: string): boolean {
  return statSync(`/proc/${pid}`, { throwIfNoEntry: false })?.uid === process.getuid?.();
}

function processNumbers(): string[] {
  try {
    return readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  } catch {
    return [];
  }
}

function commandLineOf(pid: string): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").slice(0, -1);
  } catch {
    // It ended meanwhile.
    return [];
  }
}

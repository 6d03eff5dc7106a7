import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";

/** The process that holds a state directory, as controller.lock names it. */
interface Holder {
  pid: number;
  /** Start of the process, clock ticks since boot: it tells it from a later process of the same number. */
  startTime: string;
}

/** Names this process in controller.lock. The lock itself is the registry, which one process at a time can open. */
export function nameHolder(path: string): void {
  const holder: Holder = { pid: process.pid, startTime: startTimeOf(process.pid) ?? "" };
  writeFileSync(`${path}.new`, `${JSON.stringify(holder)}\n`, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

/** Takes the name away again. */
export function forgetHolder(path: string): void {
  rmSync(path, { force: true });
}

/** The process that controller.lock names; undefined when it names none that lives. */
export function readHolder(path: string): number | undefined {
  try {
    const { pid, startTime } = JSON.parse(readFileSync(path, "utf8")) as Holder;
    return startTimeOf(pid) === startTime ? pid : undefined;
  } catch {
    return undefined;
  }
}

// Field 22 of /proc/PID/stat; the second is in parentheses and may contain anything. Elsewhere than on Linux every process has the same.
function startTimeOf(pid: number): string | undefined {
  if (process.platform !== "linux") return "";
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
  } catch {
    return undefined;
  }
}

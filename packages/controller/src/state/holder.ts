import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";

/** The process that holds a state directory, as controller.lock names it. */
interface Holder {
  pid: number;
  /** Start of the process, clock ticks since boot: it tells it from a later process of the same number. */
  startTime: string;
}

/** Names this process in controller.lock. The lock itself is the registry, which one process at a time can open: where nothing can be written, messages are poorer. */
export function nameHolder(path: string): void {
  const holder: Holder = { pid: process.pid, startTime: startTimeOf(process.pid) ?? "" };
  try {
    writeFileSync(`${path}.new`, `${JSON.stringify(holder)}\n`, { mode: 0o600 });
    renameSync(`${path}.new`, path);
  } catch {
    rmSync(`${path}.new`, { force: true });
  }
}

/** Takes the name away again, unless another controller has put its own there. */
export function forgetHolder(path: string): void {
  if (readHolder(path) === process.pid) rmSync(path, { force: true });
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

/** Whether a process runs. One that has ended and that nobody collected does not. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EPERM") return false;
  }
  return statOf(pid)?.[0] !== "Z";
}

// Field 22. Elsewhere than on Linux every process has the same.
function startTimeOf(pid: number): string | undefined {
  return process.platform === "linux" ? statOf(pid)?.[19] : "";
}

/** The fields of /proc/PID/stat that follow the name, which is in parentheses and may contain anything. */
function statOf(pid: number): string[] | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  } catch {
    return undefined;
  }
}

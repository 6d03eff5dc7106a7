import { readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";

/** Logs of workloads that are gone, of which so many are kept: enough to look at what went wrong, and a bound for many short runs. */
export const keptLogs = 100;

/** Removes the oldest logs of workloads that are gone, beyond those that are kept. What cannot be removed stays. */
export function removeOldLogs(folder: string, isRegistered: (workload: string) => boolean): void {
  const gone = readdirSync(folder)
    .filter((name) => /^w-.*\.log$/.test(name) && !isRegistered(name.slice(0, -".log".length)))
    .map((name) => join(folder, name));
  if (gone.length <= keptLogs) return;
  const written = new Map(gone.map((path) => [path, statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0]));
  gone.sort((a, b) => (written.get(b) ?? 0) - (written.get(a) ?? 0));
  for (const path of gone.slice(keptLogs)) rmSync(path, { force: true });
}

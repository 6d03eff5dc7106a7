import { existsSync, renameSync, rmSync } from "node:fs";
import { prepareStateDirectory, statePaths, weftError } from "@weft/api";
import { sync } from "../store/journal.ts";
import { restore } from "../store/restore.ts";
import { openRegistry } from "./registry.ts";

/**
 * Puts a backup in the place of the resources of a state directory on which no controller runs. What was there is moved aside, and where to is answered.
 * Throws `WEFT-C-ALREADY-RUNNING`, `WEFT-C-STORE-PRESENT` when something is there that may not be replaced, and as `restore` does.
 */
export function restoreState(stateDir: string, backup: string, { replace }: { replace: boolean }): string | undefined {
  const paths = statePaths(stateDir);
  prepareStateDirectory(paths);
  // Held until it is done, so that no controller starts meanwhile.
  const registry = openRegistry(paths);
  try {
    const present = filesOf(paths.objects).filter((path) => existsSync(path));
    if (present.length > 0 && !replace)
      throw weftError("WEFT-C-STORE-PRESENT", `${backup} was not restored: there are resources in ${stateDir} already.`, {
        hint: "`weft restore --yes` moves them aside.",
      });
    const ready = `${paths.objects}.restored`;
    rmSync(ready, { force: true });
    restore(backup, ready);
    const aside = `${paths.objects}.before-${new Date().toISOString().replace(/\D/g, "").slice(0, 14)}`;
    for (const path of present) renameSync(path, path.replace(paths.objects, aside));
    renameSync(ready, paths.objects);
    sync(stateDir);
    return present.length > 0 ? aside : undefined;
  } finally {
    registry.close();
  }
}

/** The files of a store: SQLite's own, what is not in it yet, and its index. */
const filesOf = (path: string) => [path, `${path}-wal`, `${path}-shm`];

import { type StatePaths, WeftError, weftError } from "@weft/api";
import { Registry } from "../registry/registry.ts";
import { readHolder } from "./holder.ts";

/** Opens the registry of a state directory, which holds the directory for this process. Throws `WEFT-C-ALREADY-RUNNING` with the one that has it. */
export function openRegistry(paths: StatePaths): Registry {
  try {
    return new Registry(paths.registry);
  } catch (error) {
    if (!(error instanceof WeftError) || error.code !== "WEFT-C-ALREADY-RUNNING") throw error;
    const pid = readHolder(paths.lock);
    const who = pid === undefined ? "Another controller" : `Another controller (process ${pid})`;
    throw weftError("WEFT-C-ALREADY-RUNNING", `${who} runs on ${paths.directory}.`, { cause: error });
  }
}

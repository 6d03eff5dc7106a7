import type { Logger } from "pino";
import type { Mesh } from "../mesh.ts";
import type { Registry } from "../registry/registry.ts";
import { type Door, inodeOf } from "./door.ts";

const everyMs = 1_000;

/** What a controller's state directory is watched with. */
export interface Watched {
  registry: Registry;
  /** Path of the registry's file. */
  path: string;
  doors: Door[];
  mesh: Mesh;
  log: Logger;
  /** The registry is not this controller's any more. */
  gone(): void;
}

/**
 * Looks after the state directory and the registry once a second: makes sockets again that were deleted, forgets workloads that were killed with their
 * launchers, writes what could not be written while the disk was full, and ends the controller when its registry was deleted or replaced, since then nothing that it says would last. Answers how to stop.
 */
export function watchState({ registry, path, doors, mesh, log, gone }: Watched): () => void {
  const inode = inodeOf(path);
  let unwritable = false;
  const look = async () => {
    if (inodeOf(path) !== inode) {
      clearInterval(timer);
      log.error({ code: "WEFT-C-STATE-GONE" }, `${path} was deleted or replaced while the controller ran, so it ends`);
      registry.abandon();
      return gone();
    }
    for (const door of doors) {
      if (door.isThere) continue;
      await door.open();
      log.warn("a socket in the state directory was deleted, and made again");
    }
    mesh.sweep();
    if (registry.trouble !== undefined) recover();
    // Only after a recovery can the log be written, too.
    if (unwritable && registry.trouble === undefined) log.info("the registry can be written again");
    unwritable = registry.trouble !== undefined;
  };
  const recover = () => {
    if (!unwritable) log.error({ code: "WEFT-C-REGISTRY-UNWRITABLE", error: registry.trouble?.message }, "the registry cannot be written");
    registry.probe();
    if (registry.trouble === undefined) mesh.save();
  };
  const timer = setInterval(() => {
    look().catch((error: Error) => log.error({ error: error.message }, "the state directory cannot be looked after"));
  }, everyMs).unref();
  return () => clearInterval(timer);
}

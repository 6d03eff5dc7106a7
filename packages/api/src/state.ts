import { homedir } from "node:os";
import { join, resolve } from "node:path";

/** The state directory: WEFT_STATE, else $XDG_STATE_HOME/weft, else ~/.local/state/weft. Absolute. */
export function stateDirectory(env: Record<string, string | undefined> = process.env): string {
  if (env.WEFT_STATE) return resolve(env.WEFT_STATE);
  return env.XDG_STATE_HOME ? resolve(env.XDG_STATE_HOME, "weft") : join(homedir(), ".local", "state", "weft");
}

/** Longest path of a unix socket, bytes: sun_path without its closing zero. */
export const maxSocketPath = 107;

/** Where things are in a state directory. */
export function statePaths(directory: string) {
  const ca = join(directory, "ca");
  const logs = join(directory, "logs");
  return {
    directory,
    apiSocket: join(directory, "api.sock"),
    controlSocket: join(directory, "control.sock"),
    lock: join(directory, "controller.lock"),
    registry: join(directory, "registry.db"),
    /** Resources that people write. */
    objects: join(directory, "objects.db"),
    /** How kubectl and its like get in: a port and a token. There once they were asked for. */
    access: join(directory, "access.json"),
    ca,
    logs,
    controllerLog: join(logs, "controller.log"),
    /** Log of the sidecar of one workload. */
    workloadLog: (id: string) => join(logs, `${id}.log`),
  };
}

/** What `statePaths` answers. */
export type StatePaths = ReturnType<typeof statePaths>;

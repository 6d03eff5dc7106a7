import { constants } from "node:fs";
import { access } from "node:fs/promises";
import { join } from "node:path";
import { cliError } from "./errors.ts";

/** The repository that this command line belongs to. */
export const repository = join(import.meta.dirname, "../../..");

/** Where compiled code is kept between starts, as bin/weft says too. */
export const compileCache = join(repository, "node_modules/.cache/weft");

/** The program that is the controller. */
export const controllerProgram = join(repository, "packages/controller/src/main.ts");

/** A binary of the proxy crate that was found. */
export interface Binary {
  path: string;
  /** A debug build: correct, but slow. */
  debug: boolean;
}

/** Finds `weft-launch` or `weft-proxy`: the release build, else the debug build, else undefined. */
export async function lookForBinary(name: "weft-launch" | "weft-proxy"): Promise<Binary | undefined> {
  for (const build of ["release", "debug"] as const) {
    const path = join(repository, "target", build, name);
    try {
      await access(path, constants.X_OK);
      return { path, debug: build === "debug" };
    } catch {
      // The next build, then.
    }
  }
  return undefined;
}

/** Finds `weft-launch`, or says how to build it. */
export async function findLauncher(): Promise<Binary> {
  const launcher = await lookForBinary("weft-launch");
  if (launcher === undefined) throw cliError("WEFT-L-BINARY-MISSING", `weft-launch is not built in ${join(repository, "target")}.`);
  return launcher;
}

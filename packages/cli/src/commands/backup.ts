import { createWriteStream, existsSync } from "node:fs";
import { open, rename, rm } from "node:fs/promises";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { ApiClient, WeftError } from "@weft/api/light";
import { cliError, usageError } from "../errors.ts";
import { say } from "../output.ts";
import { progress } from "../terminal.ts";

/** Writes a backup of all resources to a file, or to standard output for `-`. */
export async function backup(file: string, { state, yes }: { state: string; yes: boolean }): Promise<void> {
  const client = new ApiClient(state);
  if (file === "-") {
    if (process.stdout.isTTY) throw usageError("A backup is nothing to read on a terminal.", "For example: weft backup mesh.backup");
    for await (const chunk of await client.backup())
      if (!process.stdout.write(chunk)) await new Promise((resolve) => process.stdout.once("drain", resolve));
    return;
  }
  if (!yes && existsSync(file)) throw cliError("WEFT-L-FILE-PRESENT", `${JSON.stringify(file)} is there already.`);
  const content = await client.backup();
  const unfinished = `${file}.unfinished`;
  const done = progress("Writing the backup");
  try {
    await pipeline(Readable.from(content), createWriteStream(unfinished, { mode: 0o600 }));
    const handle = await open(unfinished);
    await handle.sync();
    await handle.close();
    await rename(unfinished, file);
  } catch (error) {
    await rm(unfinished, { force: true });
    if (error instanceof WeftError) throw error;
    throw cliError(
      "WEFT-L-FILE-UNWRITABLE",
      `The backup was not written to ${JSON.stringify(file)}: ${(error as Error).message}.`,
      undefined,
      error,
    );
  } finally {
    done();
  }
  say(`Wrote ${file}. \`weft restore ${file}\` puts it in the place of what is there then.`);
}

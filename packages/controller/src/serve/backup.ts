import { once } from "node:events";
import { open, rm } from "node:fs/promises";
import type { ServerResponse } from "node:http";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { weftError } from "@weft/api";
import type { ApiServices } from "./services.ts";

// Each takes as much room on the disk as what it is of.
let isUnderWay = false;

/** Answers with a backup of what people wrote. It is made whole before the first byte goes, and leaves nothing on the disk. */
export async function serveBackup({ stores, paths }: Pick<ApiServices, "stores" | "paths">, response: ServerResponse): Promise<void> {
  if (isUnderWay) throw weftError("WEFT-C-TOO-MANY", "A backup is under way already.", { hint: "Wait until it is done." });
  isUnderWay = true;
  const path = join(paths.directory, "objects.backup");
  try {
    await stores.backup(path);
    const file = await open(path);
    await rm(path);
    const { size } = await file.stat();
    response.writeHead(200, { "content-type": "application/vnd.sqlite3", "content-length": size, "cache-control": "no-store" });
    // Whoever leaves before the end is no fault of the controller's.
    await pipeline(file.createReadStream(), response).catch(() => undefined);
    if (!response.closed) await once(response, "close");
  } finally {
    await rm(path, { force: true });
    isUnderWay = false;
  }
}

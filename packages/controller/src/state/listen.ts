import { chmodSync, renameSync, rmSync } from "node:fs";
import type { Server } from "node:net";
import { basename, dirname, join } from "node:path";
import { weftError } from "@weft/api";

/**
 * Listens on a unix socket, 0600. It takes its name only when it listens, in place of one that a killed controller left: whoever finds the name finds
 * someone behind it. Only the holder of the state directory may call this.
 */
export async function listenUnix(server: Server, path: string): Promise<void> {
  const temporary = join(dirname(path), `.${basename(path, ".sock")}`);
  rmSync(temporary, { force: true });
  await listen(server, { path: temporary });
  chmodSync(temporary, 0o600);
  renameSync(temporary, path);
}

/** How many ports are tried for the page. */
const pagePortsTried = 100;

/** Listens on 127.0.0.1, on `port` exactly, or on the first free one from `first` on. Answers the port. */
export async function listenLoopback(server: Server, { port, first }: { port: number | undefined; first: number }): Promise<number> {
  const candidates = port === undefined ? Array.from({ length: pagePortsTried }, (_, index) => first + index) : [port];
  for (const candidate of candidates) {
    try {
      await listen(server, { host: "127.0.0.1", port: candidate, exclusive: true });
      return (server.address() as { port: number }).port;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== "EADDRINUSE" && code !== "EACCES") throw error;
    }
  }
  const which = port === undefined ? `Every port from ${first} to ${first + pagePortsTried - 1} of 127.0.0.1` : `127.0.0.1:${port}`;
  throw weftError("WEFT-C-PAGE-PORT-IN-USE", `${which} is in use or may not be opened.`);
}

async function listen(server: Server, options: object): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

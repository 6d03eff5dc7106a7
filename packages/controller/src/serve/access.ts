import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { renameSync, rmSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import { type Access as Granted, WeftError } from "@weft/api";
import type { Logger } from "pino";
import { z } from "zod";
import type { Authority } from "../ca/authority.ts";
import { listenLoopback } from "../state/listen.ts";
import { maxConnections, serverOptions } from "./limits.ts";

/** What is kept, so that what was given to people works after the controller was started anew. */
const keptSchema = z.strictObject({ port: z.int().min(1).max(65535), token: z.string().regex(/^[\w-]{43}$/) });

type Kept = z.infer<typeof keptSchema>;

interface Opened extends Kept {
  server: Server;
}

/** What access is made of. */
export interface AccessOptions {
  /** File in which port and token are kept. */
  file: string;
  authority: Authority;
  log: Logger;
  /** Answers those who have the token, as it answers the user. */
  serve: RequestListener;
}

/**
 * Access for kubectl and its like, which speak TCP: HTTPS on 127.0.0.1, for those alone who have the token. Nothing listens before somebody asks for it;
 * from then on it is there, over restarts too, until it is revoked.
 */
export class Access {
  readonly #options: AccessOptions;
  #opening: Promise<Opened> | undefined;

  constructor(options: AccessOptions) {
    this.#options = options;
  }

  /** Opens it if it was asked for before. What keeps it from that is logged, and nothing else of the controller suffers. */
  async resume(): Promise<void> {
    const { file, log } = this.#options;
    try {
      if ((await read(file)) !== undefined) await this.grant();
    } catch (error) {
      log.warn({ error: (error as Error).message }, "access over HTTPS cannot be opened");
    }
  }

  /** Opens it if it is not open, and answers what one needs to use it. */
  async grant(): Promise<Granted> {
    this.#opening ??= this.#open();
    try {
      const { port, token } = await this.#opening;
      return { server: `https://127.0.0.1:${port}`, certificateAuthority: this.#options.authority.anchorPem, token };
    } catch (error) {
      this.#opening = undefined;
      throw error;
    }
  }

  /** Ends all access, and with it what was given to people. */
  async revoke(): Promise<void> {
    rmSync(this.#options.file, { force: true });
    await this.close();
  }

  /** Stops listening and ends all connections. */
  async close(): Promise<void> {
    const opened = await this.#opening?.catch(() => undefined);
    this.#opening = undefined;
    opened?.server.close();
    opened?.server.closeAllConnections();
  }

  async #open(): Promise<Opened> {
    const { file, authority, log, serve } = this.#options;
    const kept = await read(file);
    const token = kept?.token ?? randomBytes(32).toString("base64url");
    const certificate = await authority.certifyLoopback();
    const server = createServer(
      { ...serverOptions, ...certificate, minVersion: "TLSv1.3", handshakeTimeout: 5_000 },
      (request, response) => (isBearerOf(token, request) ? serve(request, response) : unauthorized(response)),
    );
    server.maxConnections = maxConnections;
    const port = await listen(server, kept?.port);
    if (kept !== undefined && kept.port !== port)
      log.warn({ port, before: kept.port }, "the port of access over HTTPS is another's now: `weft kubeconfig` tells the new one");
    if (kept?.port !== port) write(file, { port, token });
    return { server, port, token };
  }
}

/** Listens on the port of before, if it is free. */
async function listen(server: Server, before: number | undefined): Promise<number> {
  try {
    return await listenLoopback(server, { port: before ?? 0, first: 0 });
  } catch (error) {
    if (before === undefined || !(error instanceof WeftError)) throw error;
    return listenLoopback(server, { port: 0, first: 0 });
  }
}

async function read(file: string): Promise<Kept | undefined> {
  const text = await readFile(file, "utf8").catch(() => undefined);
  try {
    return text === undefined ? undefined : keptSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

function write(file: string, kept: Kept): void {
  const temporary = `${file}.new`;
  rmSync(temporary, { force: true });
  writeFileSync(temporary, JSON.stringify(kept), { mode: 0o600, flag: "wx", flush: true });
  renameSync(temporary, file);
}

// Digests have one length, and take the same time to compare whatever is in them.
const digest = (text: string) => createHash("sha256").update(text).digest();

function isBearerOf(token: string, { headers }: IncomingMessage): boolean {
  const given = /^Bearer ([\w-]+)$/i.exec(headers.authorization ?? "")?.[1] ?? "";
  return timingSafeEqual(digest(given), digest(token));
}

/** Nothing is said but that: not even what there would be. */
function unauthorized(response: ServerResponse): void {
  const text = JSON.stringify({
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Failure",
    message: "Unauthorized",
    reason: "Unauthorized",
    code: 401,
  });
  const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(text), connection: "close" };
  response.writeHead(401, headers).end(text);
}

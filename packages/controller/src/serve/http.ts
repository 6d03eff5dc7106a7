import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { apiPrefix, type ErrorBody, type ErrorCode, WeftError, weftError } from "@weft/api";
import { admitBy } from "../resources/admit.ts";
import { createResourceApi } from "../resources/api.ts";
import { Room } from "../resources/room.ts";
import { isResourcePath } from "../resources/target.ts";
import { Access } from "./access.ts";
import { guardLoopback, safeHeaders } from "./guard.ts";
import { maxConnections, serverOptions } from "./limits.ts";
import { LiveFeed } from "./live.ts";
import { Logins } from "./logins.ts";
import { servePage } from "./page.ts";
import { createRoutes, findRoute, type Who } from "./routes.ts";
import type { ApiServices } from "./services.ts";
import { snapshotOf } from "./snapshot.ts";
import { targetOf } from "./target.ts";

/** Longest body of a request, bytes. */
export const maxBodyBytes = 256 * 1024;

const statuses: Partial<Record<ErrorCode, number>> = {
  "WEFT-C-NAME-INVALID": 400,
  "WEFT-C-BODY-INVALID": 400,
  "WEFT-C-QUERY-INVALID": 400,
  "WEFT-C-WINDOW-NOT-KEPT": 400,
  "WEFT-C-LOGIN-REFUSED": 401,
  "WEFT-C-HOST-REFUSED": 403,
  "WEFT-C-LOCAL-ONLY": 403,
  "WEFT-C-CROSS-SITE-REFUSED": 403,
  "WEFT-C-NOT-FOUND": 404,
  "WEFT-C-WORKLOAD-UNKNOWN": 404,
  "WEFT-C-ENDPOINT-UNKNOWN": 404,
  "WEFT-C-METHOD-NOT-ALLOWED": 405,
  "WEFT-C-READ-ONLY": 405,
  "WEFT-C-WORKLOAD-CONFLICT": 409,
  "WEFT-C-WORKLOAD-REMOVED": 410,
  "WEFT-C-BODY-TOO-LARGE": 413,
  "WEFT-C-TOO-MANY": 429,
  "WEFT-C-TELEMETRY-FAILED": 503,
  "WEFT-C-REGISTRY-UNWRITABLE": 507,
  "WEFT-C-ADDRESSES-EXHAUSTED": 507,
};

/** The HTTP API and the page. */
export interface Api {
  /** A server, not listening yet, for those who may reach it. */
  createServer(who: Who): Server;
  setPagePort(port: number): void;
  /** Lets those in who were given access before. */
  resumeAccess(): Promise<void>;
  readonly pageUrl: string;
  /** Ends live feeds, watches and access over HTTPS. */
  close(): Promise<void>;
}

/** Makes the HTTP API. Its servers do not listen yet. */
export function createApi(services: ApiServices): Api {
  let pagePort = 0;
  const pageUrl = () => `http://127.0.0.1:${pagePort}/`;
  const snapshot = snapshotOf(services, pageUrl);
  // Each with viewers of its own, so that strangers cannot take the user's places.
  const live = { user: new LiveFeed(snapshot.live), stranger: new LiveFeed(snapshot.live) };
  const { stores, mesh, log, authority, paths } = services;
  const access = new Access({ file: paths.access, authority, log, serve: (request, response) => listen(request, response, "user") });
  const logins = new Logins();
  const routes = createRoutes({ ...services, access, logins, pageUrl }, snapshot, live);
  const resources = createResourceApi({ stores, admit: admitBy(mesh), room: new Room(), log });

  async function answer(request: IncomingMessage, response: ServerResponse, reached: Who): Promise<void> {
    const target = targetOf(request.url ?? "");
    const isLogin = request.method === "POST" && target?.path === `${apiPrefix}/session`;
    if (reached === "stranger") guardLoopback(request, target?.authority, pagePort, isLogin);
    const who = reached === "stranger" && logins.knows(request) ? "user" : reached;
    if (target === undefined) throw weftError("WEFT-C-NOT-FOUND", `No call ${JSON.stringify(request.url?.slice(0, 200))}.`);
    const { path, query } = target;
    if (isResourcePath(path)) {
      if (who !== "user") throw localOnly(path);
      const { method = "", headers } = request;
      return resources.answer({ method, path, query, headers, body: (maxBytes) => readText(request, maxBytes), response });
    }
    if (!path.startsWith(`${apiPrefix}/`)) return servePage(request.method, path, response);
    const { route, id } = findRoute(routes, request.method, path.slice(apiPrefix.length));
    const handle = route[who];
    if (handle === undefined) throw localOnly(path);
    await handle({ id, query, body: () => readJson(request), text: (maxBytes) => readText(request, maxBytes), response });
  }

  function listen(request: IncomingMessage, response: ServerResponse, who: Who): void {
    for (const [name, value] of Object.entries(safeHeaders)) response.setHeader(name, value);
    answer(request, response, who).catch((error: unknown) => {
      const known = error instanceof WeftError ? error : weftError("WEFT-C-INTERNAL", "A fault in the controller.", { cause: error });
      if (known.code === "WEFT-C-INTERNAL")
        services.log.error({ error: error instanceof Error ? error.stack : String(error) }, "internal error");
      sendError(response, known);
    });
  }

  return {
    createServer(who) {
      const server = createServer(serverOptions, (request, response) => listen(request, response, who));
      server.maxConnections = maxConnections;
      return server;
    },
    setPagePort: (port) => {
      pagePort = port;
    },
    get pageUrl() {
      return pageUrl();
    },
    resumeAccess: () => access.resume(),
    close: async () => {
      live.user.close();
      live.stranger.close();
      resources.close();
      await access.close();
    },
  };
}

const localOnly = (path: string) => weftError("WEFT-C-LOCAL-ONLY", `${path} is answered on api.sock in the state directory only.`);

async function readText(request: IncomingMessage, maxBytes: number): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxBytes) throw weftError("WEFT-C-BODY-TOO-LARGE", `The body is over ${maxBytes} bytes.`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  try {
    return JSON.parse(await readText(request, maxBodyBytes)) as unknown;
  } catch (cause) {
    if (cause instanceof WeftError) throw cause;
    throw weftError("WEFT-C-BODY-INVALID", `The body is no JSON: ${(cause as Error).message}.`, { cause });
  }
}

function sendError(response: ServerResponse, { code, message, hint }: WeftError): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const error: ErrorBody = { error: { code, message, hint } };
  const body = JSON.stringify(error);
  // What is left of a refused body is not waited for.
  const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body), connection: "close" };
  response.writeHead(statuses[code as ErrorCode] ?? 500, headers).end(body);
}

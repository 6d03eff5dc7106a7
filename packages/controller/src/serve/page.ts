import { readFile } from "node:fs/promises";
import type { ServerResponse } from "node:http";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { weftError } from "@weft/api";

const root = fileURLToPath(new URL("../../../dashboard/dist/", import.meta.url));

const types: Record<string, string> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".ico": "image/x-icon",
  ".woff2": "font/woff2",
  ".json": "application/json",
};

// Plain segments only, so that no path leads out of the directory.
const safePath = /^(\/[A-Za-z0-9_-][A-Za-z0-9._-]*)+$/;

/** Serves a file of the page. */
export async function servePage(method: string | undefined, pathname: string, response: ServerResponse): Promise<void> {
  if (method !== "GET" && method !== "HEAD") throw weftError("WEFT-C-METHOD-NOT-ALLOWED", `${pathname} is called by GET, not ${method}.`);
  const path = pathname === "/" ? "/index.html" : pathname;
  const type = types[extname(path)];
  if (!safePath.test(path) || type === undefined) throw notFound(pathname);
  const content = await readFile(join(root, path)).catch(() => undefined);
  if (content === undefined) {
    if (pathname !== "/") throw notFound(pathname);
    response.writeHead(503, { "content-type": "text/plain; charset=utf-8" }).end("The page is not built. Build it by `npm start`.\n");
    return;
  }
  // Built assets carry a hash of their content in their names.
  const cache = path.startsWith("/assets/") ? "max-age=31536000, immutable" : "no-cache";
  response.writeHead(200, { "content-type": type, "cache-control": cache }).end(content);
}

function notFound(pathname: string): Error {
  return weftError("WEFT-C-NOT-FOUND", `No file ${JSON.stringify(pathname.slice(0, 200))}.`);
}

import type { IncomingMessage } from "node:http";
import { weftError } from "@weft/api";

/**
 * Refuses on the TCP port what a hostile page in the user's browser could send: changes, names that DNS was made to point here,
 * and requests that the browser says come from another site, or another port of this host. `authority` is that of the request's target, if it has one.
 * `isLogin`: the one call by which something is sent, and by the page itself alone.
 */
export function guardLoopback({ method, headers }: IncomingMessage, authority: string | undefined, port: number, isLogin: boolean): void {
  const hosts = [`127.0.0.1:${port}`, `localhost:${port}`, `[::1]:${port}`];
  const { host = "", origin, "sec-fetch-site": site } = headers;
  for (const named of [host, authority ?? host]) {
    if (hosts.includes(named.toLowerCase())) continue;
    throw weftError("WEFT-C-HOST-REFUSED", `Host ${JSON.stringify(named.slice(0, 100))} is not this controller's.`);
  }
  if (site !== undefined && site !== "same-origin" && site !== "none") throw crossSite(site);
  if (method === "GET" || method === "HEAD") return;
  if (!isLogin) throw weftError("WEFT-C-READ-ONLY", `${method} is not answered on this port.`);
  if (origin !== `http://${host}`) throw crossSite(origin ?? "");
}

const crossSite = (site: string | string[]) =>
  weftError("WEFT-C-CROSS-SITE-REFUSED", `The request came from another site (${JSON.stringify(String(site).slice(0, 50))}).`);

/** Headers of every answer: nothing of it runs, frames or is read elsewhere. */
export const safeHeaders = {
  "content-security-policy":
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-resource-policy": "same-origin",
  "cross-origin-opener-policy": "same-origin",
};

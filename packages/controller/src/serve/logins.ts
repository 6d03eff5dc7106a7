import { createHash, randomBytes } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { weftError } from "@weft/api";
import { Tokens } from "../ca/proofs.ts";

/** How long a login holds, milliseconds. */
export const loginLifeMs = 12 * 3600 * 1000;

/** Most logins at a time; the oldest makes room. */
const maxLogins = 64;

/**
 * Logins of the user's browsers to the page. A browser gets in by a code that works once and for a minute, and is known from then on by a token that its
 * page keeps for itself and sends with what it asks. It is no cookie: browsers send those to every port of a host, where any user of the machine may listen.
 */
export class Logins {
  readonly #codes = new Tokens();
  /** When each ends, by the digest of its token, oldest first. */
  readonly #open = new Map<string, number>();

  /** Makes a code. */
  invite(): string {
    return this.#codes.issue("page");
  }

  /** Takes a code and answers a token. Throws WEFT-C-LOGIN-REFUSED. */
  enter(code: string, now = performance.now()): string {
    if (this.#codes.redeem(code, now) === undefined)
      throw weftError("WEFT-C-LOGIN-REFUSED", "The login link was used already, is older than a minute, or is none of this controller.");
    for (const digest of this.#open.keys()) {
      if (this.#open.size < maxLogins) break;
      this.#open.delete(digest);
    }
    const token = randomBytes(32).toString("base64url");
    this.#open.set(digestOf(token), now + loginLifeMs);
    return token;
  }

  /** Whether a request has the token of a login. */
  knows({ headers }: Pick<IncomingMessage, "headers">, now = performance.now()): boolean {
    const token = /^Bearer ([\w-]{43})$/.exec(headers.authorization ?? "")?.[1];
    // By digest, so that how long looking takes says nothing of the token.
    return token !== undefined && (this.#open.get(digestOf(token)) ?? 0) > now;
  }
}

const digestOf = (token: string) => createHash("sha256").update(token).digest("base64url");

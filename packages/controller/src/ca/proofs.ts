import { createHash, createHmac, randomBytes, timingSafeEqual } from "node:crypto";

/** Life of a one-time token, milliseconds. */
export const tokenLifeMs = 60_000;

const maxTokens = 20_000;

/** One-time tokens, whose life the clock on the wall does not change. Kept in memory only, by their hash: a token is 256 random bits, so its hash says nothing of it. */
export class Tokens {
  readonly #byHash = new Map<string, { workload: string; expires: number }>();

  /** Makes a token for a workload. Throws when too many are outstanding. */
  issue(workload: string, now = performance.now()): string {
    // Insertion order is order of expiry.
    for (const [hash, { expires }] of this.#byHash) {
      if (expires > now && this.#byHash.size < maxTokens) break;
      this.#byHash.delete(hash);
    }
    const token = randomBytes(32).toString("base64url");
    this.#byHash.set(hashOf(token), { workload, expires: now + tokenLifeMs });
    return token;
  }

  /** The workload that a token was issued for, once. */
  redeem(token: string, now = performance.now()): string | undefined {
    const hash = hashOf(token);
    const found = this.#byHash.get(hash);
    this.#byHash.delete(hash);
    return found !== undefined && found.expires > now ? found.workload : undefined;
  }
}

function hashOf(token: string): string {
  return createHash("sha256").update(token).digest("base64url");
}

/** Credentials: a workload's id, signed. They hold as long as the workload is registered, and over restarts of the controller. */
export class Credentials {
  readonly #key: Buffer;

  constructor(key: Buffer) {
    this.#key = key;
  }

  issue(workload: string): string {
    return `${workload}.${this.#sign(workload).toString("base64url")}`;
  }

  /** The workload that a credential was issued for. */
  verify(credential: string): string | undefined {
    const dot = credential.indexOf(".");
    if (dot < 0) return undefined;
    const workload = credential.slice(0, dot);
    const given = Buffer.from(credential.slice(dot + 1), "base64url");
    const expected = this.#sign(workload);
    return given.length === expected.length && timingSafeEqual(given, expected) ? workload : undefined;
  }

  #sign(workload: string): Buffer {
    return createHmac("sha256", this.#key).update(`weft credential 1 ${workload}`).digest();
  }
}

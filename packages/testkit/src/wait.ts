import { setTimeout as delay } from "node:timers/promises";

const pollMs = 25;

/**
 * Waits until `probe` answers something else than undefined or false, and answers that. What `probe` throws counts as "not yet".
 * `timeoutMs` is 15 s unless told; the error then says what was waited for and what the last attempt said.
 */
export async function until<T>(
  what: string,
  probe: () => Promise<T | undefined | false> | T | undefined | false,
  options: { timeoutMs?: number; diagnose?: () => string | Promise<string> } = {},
): Promise<T> {
  const timeoutMs = options.timeoutMs ?? 15_000;
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    let last: unknown;
    try {
      const found = await probe();
      if (found !== undefined && found !== false) return found;
    } catch (error) {
      last = error;
    }
    if (Date.now() > deadline) {
      const said = last instanceof Error ? `\nThe last attempt said: ${last.message}` : "";
      const more = options.diagnose ? `\n${await options.diagnose()}` : "";
      throw new Error(`not within ${timeoutMs / 1000} s: ${what}${said}${more}`, { cause: last });
    }
    await delay(pollMs);
  }
}

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { repository } from "./paths.ts";

/** What codes mean, by code, from the rows of docs/errors.md. */
export function meaningsIn(page: string): Map<string, string> {
  const rows = page.matchAll(/^\| `(WEFT-[A-Z-]+)` \| (.*?) \| /gm);
  // The HTTP status is shown beside it anyway.
  return new Map(
    [...rows].map(([, code = "", meaning = ""]) => [code, meaning.replace(/^\d{3}(?: or \d{3})?(?:, [^:]*)?: /, "").replace(/\.$/, "")]),
  );
}

let known: Map<string, string> | undefined;

/** What a code means, in a few words; undefined for one that is not listed. */
export function meaningOf(code: string): string | undefined {
  known ??= readMeanings();
  return known.get(code);
}

/** A code with its meaning. */
export function explained(code: string, meaning: typeof meaningOf = meaningOf): string {
  const text = meaning(code);
  return text === undefined ? code : `${code}: ${text}`;
}

// A copy without its documents still has the codes.
function readMeanings(): Map<string, string> {
  try {
    return meaningsIn(readFileSync(join(repository, "docs", "errors.md"), "utf8"));
  } catch {
    return new Map();
  }
}

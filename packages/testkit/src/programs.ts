import { existsSync, globSync } from "node:fs";
import { delimiter, join } from "node:path";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";

/** The repository's folder. */
export const root = fileURLToPath(new URL("../../..", import.meta.url)).replace(/\/$/, "");

/** What tests call by other means than PATH, or first by them. */
const elsewhere: Record<string, string[]> = {
  go: [".cache/python/bin/go"],
  gunicorn: [".cache/python/bin/gunicorn"],
  "python-requests": [".cache/python/bin/python"],
  kosoku: [".cache/python/bin/kosoku"],
  kubectl: [".cache/python/bin/kubectl"],
  postgres: ["/usr/lib/postgresql/*/bin/postgres"],
  initdb: ["/usr/lib/postgresql/*/bin/initdb"],
  libfaketime: ["/usr/lib/*/faketime/libfaketime.so.1"],
};

/** Of these, what may be in PATH as well. */
const alsoInPath = ["go", "postgres", "initdb"];

const folders = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/sbin", "/usr/local/go/bin"];

/** Path of an outside program, or undefined. */
export function find(program: string): string | undefined {
  for (const pattern of elsewhere[program] ?? []) {
    const found = globSync(pattern, { cwd: root }).sort().at(-1);
    if (found) return join(found.startsWith("/") ? "" : root, found);
  }
  if (program in elsewhere && !alsoInPath.includes(program)) return undefined;
  return folders.map((folder) => join(folder, program)).find((path) => existsSync(path));
}

/** Answers the paths of outside programs; skips the test when one is missing, and fails it where CI=true. */
export function need<Name extends string>(test: TestContext, ...programs: Name[]): Record<Name, string> | undefined {
  const missing = programs.filter((program) => find(program) === undefined);
  if (missing.length === 0) return Object.fromEntries(programs.map((program) => [program, find(program)])) as Record<Name, string>;
  unavailable(test, `${missing.join(", ")} missing (.ci/run installs what tests use)`);
  return undefined;
}

/** Skips the test for `reason`; where CI=true it fails, since there everything must be at hand. */
export function unavailable(test: TestContext, reason: string): void {
  if (process.env.CI === "true") throw new Error(`with CI=true nothing may be missing: ${reason}`);
  test.skip(reason);
}

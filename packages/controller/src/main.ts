import { enableCompileCache } from "node:module";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { stateDirectory, WeftError, weftError } from "@weft/api/light";

// Everything that is made here is for this user only.
process.umask(0o077);

const usage = "main.ts --state DIR [--page-port N] [--owner PID], or main.ts --state DIR --restore FILE [--replace]";

interface Arguments {
  stateDir: string;
  pagePort: number | undefined;
  owner: number | undefined;
  /** A backup to put in the place of what is there, instead of starting. */
  restore: string | undefined;
  /** Whether there may be something that it takes the place of. */
  replace: boolean;
}

function readArguments(): Arguments {
  try {
    const { values } = parseArgs({
      options: {
        state: { type: "string" },
        "page-port": { type: "string" },
        owner: { type: "string" },
        restore: { type: "string" },
        replace: { type: "boolean", default: false },
      },
    });
    const { "page-port": port, owner, restore, replace } = values;
    if (owner !== undefined && !/^\d{1,9}$/.test(owner)) throw new Error(`--owner ${owner} is no process`);
    if (port !== undefined && !(/^\d{1,5}$/.test(port) && Number(port) <= 65535))
      throw new Error(`--page-port ${port} is no port (0 to 65535)`);
    const number = (text: string | undefined) => (text === undefined ? undefined : Number(text));
    return { stateDir: values.state ?? stateDirectory(), pagePort: number(port), owner: number(owner), restore, replace };
  } catch (cause) {
    throw weftError("WEFT-C-USAGE", `${(cause as Error).message}.`, {
      hint: `Usage: ${usage}`,
      cause,
    });
  }
}

try {
  const { owner, restore, replace, ...options } = readArguments();
  // Compiled once for all starts: half of the time to get ready.
  enableCompileCache(join(import.meta.dirname, "../node_modules/.cache/compile"));
  if (restore !== undefined) {
    const { restoreState } = await import("./state/restore.ts");
    const replaced = restoreState(options.stateDir, restore, { replace });
    process.stdout.write(`${JSON.stringify({ restored: true, replaced: replaced ?? null })}\n`);
    process.exit(0);
  }
  const { startController } = await import("./controller.ts");
  const { endWithOwner, removeAfterOwner } = await import("./state/owner.ts");
  const controller = await startController(options);
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => void controller.stop());
  if (owner !== undefined) void endWithOwner(owner, controller);
  // Who started it may be gone, and its pipe with it.
  process.stdout.on("error", () => {});
  process.stdout.write(`${JSON.stringify({ ready: true, pageUrl: controller.pageUrl })}\n`);
  await controller.ended;
  if (owner !== undefined) removeAfterOwner(owner, options.stateDir);
  process.exit(0);
} catch (error) {
  if (!(error instanceof WeftError)) throw error;
  process.stderr.write(`weft controller: ${error.message} ${error.hint} (${error.code})\n`);
  process.exit(error.code === "WEFT-C-USAGE" ? 2 : 1);
}

import { parseArgs } from "node:util";
import { portSchema, stateDirectory, WeftError, weftError } from "@weft/api";
import { startController } from "./controller.ts";

// Everything that is made here is for this user only.
process.umask(0o077);

/** Reads the arguments: `--state DIR [--page-port N]`. */
function readArguments(): { stateDir: string; pagePort: number | undefined } {
  try {
    const { values } = parseArgs({ options: { state: { type: "string" }, "page-port": { type: "string" } } });
    const port = values["page-port"];
    const pagePort = port === undefined ? undefined : port === "0" ? 0 : portSchema.safeParse(Number(port)).data;
    if (port !== undefined && pagePort === undefined) throw new Error(`--page-port ${JSON.stringify(port)} is no port (0 to 65535)`);
    return { stateDir: values.state ?? stateDirectory(), pagePort };
  } catch (cause) {
    throw weftError("WEFT-C-USAGE", `${(cause as Error).message}.`, { hint: "Usage: main.ts --state DIR [--page-port N]", cause });
  }
}

try {
  const controller = await startController(readArguments());
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => void controller.stop());
  // Who started it may be gone, and its pipe with it.
  process.stdout.on("error", () => {});
  process.stdout.write(`${JSON.stringify({ ready: true, pageUrl: controller.pageUrl })}\n`);
  await controller.ended;
  process.exit(0);
} catch (error) {
  if (!(error instanceof WeftError)) throw error;
  process.stderr.write(`weft controller: ${error.message} ${error.hint} (${error.code})\n`);
  process.exit(error.code === "WEFT-C-USAGE" ? 2 : 1);
}

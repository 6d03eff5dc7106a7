import { compileCache } from "./paths.ts";

// bin/weft set it for this program alone.
if (process.env.NODE_COMPILE_CACHE === compileCache) delete process.env.NODE_COMPILE_CACHE;

const { runCommandLine } = await import("./command-line.ts");
await runCommandLine(process.argv.slice(2));

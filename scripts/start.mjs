// npm start: installs, builds and runs the demo.
import { spawn } from "node:child_process";
import { join } from "node:path";
import { root } from "./lib/machine.mjs";
import { prepare } from "./lib/prepare.mjs";

prepare();
const demo = spawn(join(root, "bin", "weft"), ["demo", ...process.argv.slice(2)], { stdio: "inherit" });
// The terminal sends Ctrl-C to both: the demo cleans up, and this program waits for it.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => signal !== "SIGINT" && demo.kill(signal));
demo.on("error", (error) => {
  console.error(`weft: the demo did not start: ${error.message}`);
  process.exit(1);
});
demo.on("exit", (code) => process.exit(code ?? 1));

// npm start: installs, builds and runs the demo.
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./lib/machine.mjs";
import { prepare } from "./lib/prepare.mjs";

/** The process that started another; 0 where it cannot be told. */
function parentOf(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
  } catch {
    return 0;
  }
}

prepare();
const demo = spawn(join(root, "bin", "weft"), ["demo", "--end-with-parent", ...process.argv.slice(2)], { stdio: "inherit" });
// The demo cleans up, and this program waits for it. A terminal sends Ctrl-C to both, and a second time says nothing new.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => demo.kill(signal));
// Whoever started this may be killed without a chance to pass it on: npm, which is the parent of the shell that is this program's.
const starters = () => [process.ppid, process.env.npm_lifecycle_event === undefined ? 0 : parentOf(process.ppid)].join();
const started = starters();
setInterval(() => starters() === started || demo.kill("SIGTERM"), 500).unref();
demo.on("error", (error) => {
  console.error(`weft: the demo did not start: ${error.message}`);
  process.exit(1);
});
demo.on("exit", (code) => process.exit(code ?? 1));

// npm run bench: the measurements of bench/, with the project's own Node.
import { spawnSync } from "node:child_process";
import { node24, root } from "./lib/machine.mjs";

const [first] = process.argv.slice(2);
const program = first === "--store" ? ["bench/store.ts"] : ["bench/run.ts", ...process.argv.slice(2)];
const { status } = spawnSync(node24(), program, { cwd: root, stdio: "inherit" });
process.exitCode = status ?? 1;

// npm run bench: the measurements of bench/, with the project's own Node.
import { spawnSync } from "node:child_process";
import { node24, root } from "./lib/machine.mjs";

const [first] = process.argv.slice(2);
const alone = { "--store": "bench/store.ts", "--graph": "bench/graph.ts", "--control": "bench/control.ts" }[first];
const program = alone === undefined ? ["bench/run.ts", ...process.argv.slice(2)] : [alone, ...process.argv.slice(3)];
const { status } = spawnSync(node24(), program, { cwd: root, stdio: "inherit" });
process.exitCode = status ?? 1;

// npm run gate: what a request costs, against the baseline; with the project's own Node.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { node24, root } from "./lib/machine.mjs";

const { status } = spawnSync(node24(), [join(root, "bench/gate.ts"), ...process.argv.slice(2)], { stdio: "inherit" });
process.exitCode = status ?? 1;

// npm run contract: takes the contract as it is now for what later changes must not break, unless it breaks what was taken before.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { contractImage } from "./lib/checks.mjs";
import { root } from "./lib/machine.mjs";

const buf = (...args) => spawnSync(join(root, "node_modules", ".bin", "buf"), args, { cwd: root, stdio: "inherit" }).status === 0;

const isCompatible = !existsSync(join(root, contractImage)) || buf("breaking", "proto", "--against", contractImage);
process.exitCode = isCompatible && buf("build", "proto", "--exclude-source-info", "--output", contractImage) ? 0 : 1;

// npm run generate: the TypeScript of the contract, and what is made from the kinds of resources; with the project's own Node.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { node24, root } from "./lib/machine.mjs";

const commands = [
  [join(root, "node_modules", ".bin", "buf"), "generate", "proto", "--template", "proto/buf.gen.yaml"],
  [node24(), join(root, "packages/api/src/generate/write.ts")],
];
process.exitCode = commands.every(([program, ...args]) => spawnSync(program, args, { cwd: root, stdio: "inherit" }).status === 0) ? 0 : 1;

// npm run audit: known vulnerabilities of the dependencies. Asks advisory databases on the Internet, so it is no part of npm test.
import { spawnSync } from "node:child_process";
import { cargoDeny } from "./lib/checks.mjs";
import { root } from "./lib/machine.mjs";

const deny = cargoDeny();
if (!deny.program) {
  console.error(`audit: ${deny.reason}`);
  process.exit(1);
}
const audits = [
  [deny.program, "check", "advisories"],
  ["npm", "audit"],
];
const failed = audits.filter(([program, ...args]) => spawnSync(program, args, { cwd: root, stdio: "inherit" }).status !== 0);
process.exit(failed.length === 0 ? 0 : 1);

// npm test: installs and builds like npm start, then runs every check and test.
//   --only checks|unit|gate|e2e   one part of them
//   --match TEXT                  of the end-to-end tests, the files whose name contains it
//   --long                        the long forms of end-to-end tests
// WEFT_SEED=NUMBER makes property tests try other cases than they always do.
import { parseArgs } from "node:util";
import { checks, endToEndTests, gate, unitTests } from "./lib/checks.mjs";
import { prepare } from "./lib/prepare.mjs";
import { runSteps } from "./lib/steps.mjs";

const { values } = parseArgs({
  options: { only: { type: "string" }, match: { type: "string" }, long: { type: "boolean", default: false } },
});
const parts = { checks, unit: unitTests, gate, e2e: () => endToEndTests(values) };
const chosen = values.match ? "e2e" : values.only;
if (chosen && !(chosen in parts)) {
  console.error(`--only ${chosen}: there is no such part; there are ${Object.keys(parts).join(", ")}`);
  process.exit(2);
}

prepare();
const steps = Object.keys(parts)
  .filter((part) => !chosen || part === chosen)
  .flatMap((part) => parts[part]());
const start = performance.now();
const { passed, failed, skipped } = await runSteps(steps, { ci: process.env.CI === "true" });
console.log(`\n${((performance.now() - start) / 60_000).toFixed(1)} minutes`);
console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
process.exit(failed === 0 ? 0 : 1);

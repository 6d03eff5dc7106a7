// npm run gate: what a request through two sidecars costs, against the baseline. README.md says how it is counted.
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { find, root } from "@weft/testkit";
import { judge, type Made, type Measured } from "./gate/judge.ts";
import { measure } from "./gate/measure.ts";

const file = join(import.meta.dirname, "gate-baseline.json");
const RULE = "The baseline moves only in the commit that explains why: npm run gate -- --record writes it.";

const { values } = parseArgs({ options: { record: { type: "boolean", default: false }, json: { type: "boolean", default: false } } });

const missing = ["valgrind", "strace"].filter((program) => !find(program));
if (missing.length > 0) {
  console.error(`gate: ${missing.join(", ")} missing; on Debian: apt-get install ${missing.join(" ")}`);
  process.exit(2);
}
const binaries = build();
const measured: Measured = { made: madeWith(), ...(await measure(binaries)) };
if (values.json) console.log(JSON.stringify(measured, null, 2));
if (values.record) {
  writeFileSync(
    file,
    `${JSON.stringify({ rule: RULE, ...measured }, (_, value) => (typeof value === "number" ? tidy(value) : value), 2)}\n`,
  );
  console.log(`gate: recorded in ${file}. ${RULE}`);
} else {
  const { rows, failures, notes } = judge(JSON.parse(readFileSync(file, "utf8")), measured);
  console.table(rows);
  for (const note of notes) console.log(`gate: ${note}`);
  for (const failure of failures) console.log(`gate: ${failure}`);
  if (failures.length > 0) {
    console.log(`gate: a request must not cost more than before. Find what it was (bench/README.md) and mend it. ${RULE}`);
    process.exitCode = 1;
  }
}

/** Builds the release profile as it is, whatever the environment says of profiles, and answers the folder. */
function build(): string {
  const changes = /^(?:CARGO_PROFILE_|CARGO_INCREMENTAL$|(?:CARGO_(?:ENCODED_|BUILD_))?RUSTFLAGS$)/;
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !changes.test(name)));
  const { status } = spawnSync("cargo", ["build", "--release", "--locked", "--quiet", "--bins"], { cwd: root, stdio: "inherit", env });
  if (status !== 0) throw new Error("cargo build --release failed");
  return join(process.env.CARGO_TARGET_DIR ?? join(root, "target"), "release");
}

function madeWith(): Made {
  const { stdout } = spawnSync("rustc", ["--version"], { cwd: root, encoding: "utf8" });
  const { header } = process.report.getReport() as unknown as { header: { glibcVersionRuntime: string } };
  return { machine: process.arch, rustc: /\d+\.\d+\.\d+/.exec(stdout)?.[0] ?? "unknown", glibc: header.glibcVersionRuntime };
}

/** As many decimals as repeat. */
function tidy(value: number): number {
  return value < 1000 ? Number(value.toFixed(2)) : Math.round(value);
}

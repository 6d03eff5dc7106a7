// Installs and builds what is not there or no longer matches its sources.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { demandTools, node24, root } from "./machine.mjs";

function digest(files) {
  const hash = createHash("sha256");
  for (const file of files)
    hash
      .update(`${file}\0`)
      .update(readFileSync(join(root, file)))
      .update("\0");
  return hash.digest("hex");
}

function filesBelow(folder) {
  return readdirSync(join(root, folder), { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name).slice(root.length + 1))
    .sort();
}

function isCurrent(stamp, wanted) {
  return existsSync(stamp) && readFileSync(stamp, "utf8") === wanted;
}

/** Runs one step with its output on the terminal; ends the program when it fails. */
function step(name, command, args, options = {}) {
  console.error(`weft: ${name}`);
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: "inherit", ...options });
  if (status === 0) return;
  console.error(`\nweft: "${[command, ...args].join(" ")}" failed${error ? `: ${error.message}` : ""}. What it printed above says why.`);
  process.exit(1);
}

function install() {
  const packages = readdirSync(join(root, "packages")).map((name) => join("packages", name, "package.json"));
  const wanted = digest(["package.json", "package-lock.json", ...packages.filter((file) => existsSync(join(root, file))).sort()]);
  const stamp = join(root, "node_modules", ".weft-installed");
  if (isCurrent(stamp, wanted)) return;
  step("installing packages (npm ci)", "npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"]);
  writeFileSync(stamp, wanted);
}

function buildPage() {
  const folder = join("packages", "dashboard");
  const sources = filesBelow(folder).filter((file) => !/\/(dist|node_modules)\/|\.test\.ts$/.test(file));
  const wanted = digest(["package-lock.json", ...sources]);
  const stamp = join(root, folder, "dist", ".weft-built");
  if (isCurrent(stamp, wanted)) return;
  const vite = join(root, "node_modules", "vite", "bin", "vite.js");
  step("building the page", node24(), [vite, "build", "--logLevel", "warn"], { cwd: join(root, folder) });
  writeFileSync(stamp, wanted);
}

/** Makes everything that `bin/weft` needs: packages, sidecar and page. Quick when nothing changed. */
export function prepare() {
  demandTools();
  install();
  if (!node24()) {
    console.error(`weft: no Node 24 comes for ${process.platform}-${process.arch}, and this is Node ${process.versions.node}.`);
    console.error("  get it with: npm install --global n && n 24");
    process.exit(1);
  }
  step("building the sidecar (cargo build --release)", "cargo", ["build", "--release", "--locked", "--quiet"]);
  buildPage();
}

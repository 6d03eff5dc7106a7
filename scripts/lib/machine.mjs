// What this machine has, and the command that gets what it lacks.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** The repository's folder. */
export const root = fileURLToPath(new URL("../..", import.meta.url)).replace(/\/$/, "");

const installers = [
  { program: "apt-get", install: "sudo apt-get install -y", packages: { npm: "nodejs npm", cc: "build-essential" } },
  { program: "dnf", install: "sudo dnf install -y", packages: { npm: "nodejs npm", cc: "gcc" } },
  { program: "pacman", install: "sudo pacman -S", packages: { npm: "nodejs npm", cc: "base-devel" } },
  { program: "apk", install: "sudo apk add", packages: { npm: "nodejs npm", cc: "build-base" } },
  { program: "brew", install: "brew install", packages: { npm: "node", cc: "gcc" } },
];

/** True when `program` can be found in PATH. */
export function inPath(program) {
  return (process.env.PATH ?? "").split(":").some((folder) => folder && existsSync(join(folder, program)));
}

function remedy(what) {
  const installer = installers.find(({ program }) => inPath(program));
  if (what === "cc" && process.platform === "darwin") return "xcode-select --install";
  return installer ? `${installer.install} ${installer.packages[what]}` : `your system's package manager (${what})`;
}

function cargoVersion() {
  const answer = spawnSync("cargo", ["--version"], { cwd: root, encoding: "utf8" });
  const found = /cargo (\d+)\.(\d+)/.exec(answer.stdout ?? "");
  return found ? { text: found[0], minor: Number(found[2]) } : undefined;
}

/** What building needs and this machine lacks: `[{what, why, get}]`, empty when all is there. */
export function missing() {
  const lacking = [];
  if (Number(process.versions.node.split(".")[0]) < 20) {
    lacking.push({ what: "Node 20 or newer", why: `this is Node ${process.versions.node}`, get: remedy("npm") });
  }
  if (!inPath("npm")) lacking.push({ what: "npm", why: "it installs the TypeScript parts", get: remedy("npm") });
  const rustup = "curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh";
  const cargo = cargoVersion();
  if (!cargo) lacking.push({ what: "cargo", why: "it builds the sidecar", get: inPath("rustup") ? "rustup default stable" : rustup });
  else if (cargo.minor < 88) {
    lacking.push({ what: "Rust 1.88 or newer", why: `this is ${cargo.text}`, get: inPath("rustup") ? "rustup update stable" : rustup });
  }
  if (!["cc", "gcc", "clang"].some(inPath)) lacking.push({ what: "a C linker (cc)", why: "Rust links with it", get: remedy("cc") });
  return lacking;
}

/** The Node (24 or newer) that runs TypeScript: the one that `npm ci` brought, or this one. Undefined when neither will do. */
export function node24() {
  const bundled = join(root, "node_modules", `node-${process.platform}-${process.arch}`, "bin", "node");
  if (existsSync(bundled)) return bundled;
  return Number(process.versions.node.split(".")[0]) >= 24 ? process.execPath : undefined;
}

/** Ends the program with what is missing and how to get it, if anything is. */
export function demandTools() {
  const lacking = missing();
  if (lacking.length === 0) return;
  console.error("Weft cannot be built here yet. Missing:\n");
  for (const { what, why, get } of lacking) console.error(`  ${what} (${why})\n    get it with: ${get}\n`);
  process.exit(1);
}

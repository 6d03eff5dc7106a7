// npm run lock: writes package-lock.json anew and completes it. A registry mirror that lacks packages for other systems makes npm leave them out of the
// lock file, and `npm ci` then refuses it (npm/cli issue 9846). What is added has the version that its parent asks for, and the system in its name.
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./lib/machine.mjs";

const systems = ["aix", "android", "darwin", "freebsd", "linux", "netbsd", "openbsd", "openharmony", "sunos", "win32"];
const processors = ["arm64", "x64", "ia32", "ppc64", "riscv64", "s390x", "wasm32", "loong64", "mips64el"];

/** The system that a platform package is for, as its name says it; nothing when the name says none. */
function platform(name) {
  const words = name.split("/").at(-1).split("-");
  const os = words.find((word) => systems.includes(word));
  const cpu = words.find((word) => processors.includes(word)) ?? (words.some((word) => /^arm(v\d)?$/.test(word)) ? "arm" : undefined);
  const libc = words.includes("musl") ? "musl" : words.includes("gnu") ? "glibc" : undefined;
  return os || cpu ? { ...(os && { os: [os] }), ...(cpu && { cpu: [cpu] }), ...(libc && { libc: [libc] }) } : undefined;
}

const { status } = spawnSync("npm", ["install", "--package-lock-only", "--ignore-scripts", "--loglevel=error"], {
  cwd: root,
  stdio: "inherit",
});
if (status !== 0) process.exit(status ?? 1);

const path = join(root, "package-lock.json");
const lock = JSON.parse(readFileSync(path, "utf8"));
for (const parent of Object.values(lock.packages)) {
  for (const [name, version] of Object.entries(parent.optionalDependencies ?? {})) {
    const key = `node_modules/${name}`;
    const system = platform(name);
    if (lock.packages[key] || !system) continue;
    lock.packages[key] = { version, ...system, ...(parent.dev && { dev: true }), optional: true };
  }
}
lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1)));
writeFileSync(path, `${JSON.stringify(lock, null, 2)}\n`);

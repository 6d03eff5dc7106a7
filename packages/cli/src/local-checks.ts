import { constants } from "node:fs";
import { access, readFile, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { type Check, maxSocketPath, statePaths } from "@weft/api/light";
import { lookForBinary, repository } from "./paths.ts";

/** A check, which may succeed with a warning: Weft works, but not in the best way. */
export type LocalCheck = Check & { warning?: boolean };

/** Checks of this machine, which need no controller. */
export async function localChecks(stateDir: string): Promise<LocalCheck[]> {
  return Promise.all([node(), binary("weft-launch"), binary("weft-proxy"), namespaces(), writableState(stateDir), socketPath(stateDir)]);
}

function node(): LocalCheck {
  const { node: version } = process.versions;
  const ok = Number.parseInt(version, 10) >= 24;
  return { name: "node", ok, detail: version, hint: ok ? "" : `Node 24 or newer is needed. Run \`npm install\` in ${repository}.` };
}

async function binary(name: "weft-launch" | "weft-proxy"): Promise<LocalCheck> {
  const found = await lookForBinary(name);
  const hint = `Run \`cargo build --release\` in ${repository}.`;
  if (found === undefined) return { name, ok: false, detail: "not built", hint };
  return found.debug
    ? { name, ok: true, warning: true, detail: `${found.path} (debug build, slow)`, hint }
    : { name, ok: true, detail: found.path, hint: "" };
}

/** What the kernel says about network namespaces for this user; what it really allows is known once `weft run` tries. */
async function namespaces(): Promise<LocalCheck> {
  const name = "network namespaces";
  const fallback = "Without them `weft run` sets proxy variables, which not every program heeds.";
  const refused = (detail: string, hint: string): LocalCheck => ({ name, ok: true, warning: true, detail, hint: `${hint} ${fallback}` });
  if (process.platform !== "linux") return refused(`not available on ${process.platform}`, "They need Linux.");
  if (process.getuid?.() === 0) return { name, ok: true, detail: "allowed (root)", hint: "" };
  if ((await sysctl("user/max_user_namespaces")) === "0")
    return refused("user.max_user_namespaces is 0", "Run `sudo sysctl user.max_user_namespaces=15000`.");
  if ((await sysctl("kernel/unprivileged_userns_clone")) === "0") {
    return refused("kernel.unprivileged_userns_clone is 0", "Run `sudo sysctl kernel.unprivileged_userns_clone=1`.");
  }
  if ((await sysctl("kernel/apparmor_restrict_unprivileged_userns")) === "1") {
    return refused("AppArmor restricts them for ordinary users", "Run `sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0`.");
  }
  return { name, ok: true, detail: "allowed for ordinary users", hint: "" };
}

async function sysctl(path: string): Promise<string | undefined> {
  return readFile(`/proc/sys/${path}`, "utf8").then(
    (text) => text.trim(),
    () => undefined,
  );
}

async function writableState(stateDir: string): Promise<LocalCheck> {
  const name = "state directory";
  const hint = "Make it a directory of your own with mode 0700, or name another one in WEFT_STATE.";
  try {
    const found = await stat(stateDir);
    if (!found.isDirectory()) return { name, ok: false, detail: `${stateDir} is no directory`, hint };
    if (found.uid !== process.getuid?.()) return { name, ok: false, detail: `${stateDir} belongs to another user`, hint };
    await access(stateDir, constants.W_OK | constants.X_OK);
    return { name, ok: true, detail: stateDir, hint: "" };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code !== "ENOENT") return { name, ok: false, detail: message, hint };
    const missing = `${stateDir} does not exist yet`;
    return (await canBeMade(stateDir))
      ? { name, ok: true, detail: missing, hint: "" }
      : { name, ok: false, detail: `${missing} and cannot be made`, hint };
  }
}

async function canBeMade(directory: string): Promise<boolean> {
  const parent = dirname(directory);
  try {
    await access(parent, constants.W_OK | constants.X_OK);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ENOENT" && parent !== directory && canBeMade(parent);
  }
}

function socketPath(stateDir: string): LocalCheck {
  const bytes = Buffer.byteLength(statePaths(stateDir).controlSocket);
  const ok = bytes <= maxSocketPath;
  const detail = `the longest path of a socket has ${bytes} of ${maxSocketPath} bytes`;
  return { name: "socket paths", ok, detail, hint: ok ? "" : "Name a shorter directory in WEFT_STATE." };
}

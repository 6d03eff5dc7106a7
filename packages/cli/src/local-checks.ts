import { type Check, defaultPagePort, maxSocketPath, type Status } from "@weft/api/light";
import type { MachineFacts, StateFacts } from "./machine.ts";

// SQLite, a certificate authority and two logs take less.
const littleSpace = 32 * 1024 * 1024;
const fewFiles = 100;
const worstSkewMs = 60_000;
const noticedSkewMs = 5_000;

/** Checks of this machine, which need no controller. `repository` is where Weft is installed. */
export function machineChecks(facts: MachineFacts, repository: string): Check[] {
  return [
    nodeCheck(facts, repository),
    ...facts.binaries.map((binary) => binaryCheck(binary, repository)),
    namespaceCheck(facts),
    stateCheck(facts.state, facts.uid),
    spaceCheck(facts.state),
    socketCheck(facts.state),
  ];
}

function ok(name: string, what: string): Check {
  return { name, status: "ok", what, why: "", action: "" };
}

function nodeCheck({ node }: MachineFacts, repository: string): Check {
  if (Number.parseInt(node, 10) >= 24) return ok("node", node);
  return { name: "node", status: "fail", what: node, why: "Node 24 or newer is needed.", action: `Run \`npm install\` in ${repository}.` };
}

function binaryCheck({ name, found }: MachineFacts["binaries"][number], repository: string): Check {
  const action = `Run \`cargo build --release\` in ${repository}.`;
  if (found === undefined) return { name, status: "fail", what: "not built", why: "", action };
  if (found.debug) return { name, status: "warn", what: found.path, why: "It is a debug build, which is slow.", action };
  return ok(name, found.path);
}

/** What the kernel says about network namespaces for this user; what it really allows is known once `weft run` tries. */
function namespaceCheck({ platform, uid, sysctls }: MachineFacts): Check {
  const name = "network namespaces";
  const refused = (what: string, action: string): Check => {
    const why = "Without them `weft run` sets proxy variables, which not every program heeds.";
    return { name, status: "warn", what, why, action };
  };
  if (platform !== "linux") return refused(`not available on ${platform}`, "They need Linux.");
  if (sysctls["user/max_net_namespaces"] === "0") {
    return refused("user.max_net_namespaces is 0", "Run `sudo sysctl user.max_net_namespaces=15000`.");
  }
  if (uid === 0) return ok(name, "allowed (root)");
  if (sysctls["user/max_user_namespaces"] === "0") {
    return refused("user.max_user_namespaces is 0", "Run `sudo sysctl user.max_user_namespaces=15000`.");
  }
  if (sysctls["kernel/unprivileged_userns_clone"] === "0") {
    return refused("kernel.unprivileged_userns_clone is 0", "Run `sudo sysctl kernel.unprivileged_userns_clone=1`.");
  }
  if (sysctls["kernel/apparmor_restrict_unprivileged_userns"] === "1") {
    return refused("AppArmor restricts them for ordinary users", "Run `sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0`.");
  }
  return ok(name, "allowed for ordinary users");
}

function stateCheck({ path, found, error }: StateFacts, uid: number | undefined): Check {
  const name = "state directory";
  const fail = (what: string, why = ""): Check => {
    const action = "Make it a directory of your own with mode 0700, or name another one in WEFT_STATE.";
    return { name, status: "fail", what, why, action };
  };
  if (error !== undefined) return fail(error);
  if (found === undefined) return ok(name, `${path} does not exist yet`);
  if (!found.isDirectory) return fail(`${path} is no directory`);
  if (uid !== undefined && found.uid !== uid) return fail(`${path} belongs to user ${found.uid}, and this is user ${uid}`);
  if ((found.mode & 0o700) !== 0o700) return fail(`${path} has mode ${octal(found.mode)}`, "You may not write it.");
  if ((found.mode & 0o077) !== 0) {
    return fail(`${path} has mode ${octal(found.mode)}`, "Others may enter it, and it holds the key of the certificate authority.");
  }
  return ok(name, path);
}

const octal = (mode: number) => `0${mode.toString(8)}`;

function spaceCheck({ path, free }: StateFacts): Check {
  const name = "disk";
  if (free === undefined) return ok(name, "Its free space cannot be told.");
  const mebibytes = Math.floor(free.bytes / 1024 / 1024);
  if (free.bytes >= littleSpace && free.files >= fewFiles) return ok(name, `${mebibytes} MiB are free for ${path}`);
  const what = free.bytes < littleSpace ? `${mebibytes} MiB are free for ${path}` : `${free.files} more files fit on the disk of ${path}`;
  const full = free.bytes < 1024 * 1024 || free.files < 1;
  return {
    name,
    status: full ? "fail" : "warn",
    what,
    why: "On a full disk no workload can be registered. Those that run go on.",
    action: "Free space, or name a directory on another disk in WEFT_STATE.",
  };
}

function socketCheck({ socketPathBytes }: StateFacts): Check {
  const name = "socket paths";
  const what = `the longest path of a socket has ${socketPathBytes} of ${maxSocketPath} bytes`;
  if (socketPathBytes <= maxSocketPath) return ok(name, what);
  return { name, status: "fail", what, why: "The kernel takes no longer ones.", action: "Name a shorter directory in WEFT_STATE." };
}

/** Checks of the controller as this command line sees it. `now` is this machine's clock, milliseconds since 1970. */
export function controllerChecks(status: Status, own: { version: string; now: number }): Check[] {
  return [
    ok("controller", `answers, process ${status.pid}, page ${status.pageUrl}`),
    pageCheck(status),
    ownVersionCheck(status, own.version),
    ownClockCheck(status, own.now),
  ];
}

function pageCheck({ pageUrl }: Status): Check {
  const port = Number(new URL(pageUrl).port || 80);
  if (port === defaultPagePort) return ok("page", pageUrl);
  return ok("page", `${pageUrl}: ${defaultPagePort} was taken, or another port was asked for`);
}

function ownVersionCheck({ version }: Status, own: string): Check {
  const name = "controller's version";
  if (version === own) return ok(name, `${version}, as this command line`);
  return {
    name,
    status: "warn",
    what: `The controller is of version ${version}, this command line of ${own}.`,
    why: "It was started before Weft was installed anew.",
    action: "`weft down`, then `weft up`: traffic goes on meanwhile.",
  };
}

function ownClockCheck({ now: theirs }: Status, now: number): Check {
  const name = "controller's clock";
  const ahead = Date.parse(theirs) - now;
  if (Math.abs(ahead) < noticedSkewMs) return ok(name, `agrees with this command line's within ${noticedSkewMs / 1000} s`);
  return {
    name,
    status: Math.abs(ahead) < worstSkewMs ? "warn" : "fail",
    what: `It says ${theirs}, and this command line's says ${new Date(now).toISOString()}.`,
    why: "Certificates are valid by the controller's clock: new ones may not be valid now, and sidecars keep those that they have.",
    action: "Set the clock right. Nothing has to be started again.",
  };
}

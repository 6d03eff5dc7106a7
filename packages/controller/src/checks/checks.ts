import type { Check } from "@weft/api";
import type { Facts, WorkloadFacts } from "./facts.ts";

const hourMs = 3600 * 1000;
const dayMs = 24 * hourMs;
// The largest difference that certificates, which begin a minute early, cover for.
const worstSkewMs = 60_000;
const noticedSkewMs = 5_000;
// Certificates last 24 h and are renewed when 7 to 9 of them are left.
const overdueMs = 6 * hourMs;
// What is young may still become ready.
const youngMs = 10_000;
const recentMs = 10 * 60_000;

/** What is right and wrong with a mesh, in the order in which it should be mended. */
export function checks(facts: Facts): Check[] {
  return [
    registryCheck(facts),
    rootCheck(facts),
    clockCheck(facts),
    sidecarCheck(facts),
    certificateCheck(facts),
    trustCheck(facts),
    restartCheck(facts),
    versionCheck(facts),
    listeningCheck(facts),
    publishedCheck(facts),
    updateCheck(facts),
    refusalCheck(facts),
    roomCheck(facts),
    logCheck(facts),
  ];
}

function ok(name: string, what: string): Check {
  return { name, status: "ok", what, why: "", action: "" };
}

const time = (ms: number) => new Date(ms).toISOString();
const named = ({ service, id }: WorkloadFacts) => `${service} (${id})`;
const list = (items: string[]) => (items.length > 5 ? `${items.slice(0, 5).join(", ")} and ${items.length - 5} more` : items.join(", "));
const count = (number: number, what: string) => `${number} ${what}${number === 1 ? "" : "s"}`;

function registryCheck({ trouble }: Facts): Check {
  const name = "registry";
  if (trouble === undefined) return ok(name, "It can be written.");
  return {
    name,
    status: "fail",
    what: `Since ${time(trouble.since)} it cannot be written (WEFT-C-REGISTRY-UNWRITABLE).`,
    why: `${trouble.message}. Running workloads go on; new ones are refused.`,
    action: "Free space on the disk of the state directory, or make it writable. The controller goes on by itself then.",
  };
}

function rootCheck({ now, root }: Facts): Check {
  const name = "certificate authority";
  const renew = `\`weft down\`, move ${root.folder} away, \`weft up\`: a new root is made, and running workloads register anew.`;
  if (now < root.from) {
    return {
      name,
      status: "fail",
      what: `The root is valid only from ${time(root.from)} on.`,
      why: "The controller's clock is behind.",
      action: "Set the clock right.",
    };
  }
  if (now >= root.to) return { name, status: "fail", what: `The root expired at ${time(root.to)}.`, why: "", action: renew };
  if (root.to - now < 30 * dayMs)
    return { name, status: "warn", what: `The root is valid until ${time(root.to)} only.`, why: "", action: renew };
  return ok(name, `The root is valid until ${time(root.to)}.`);
}

function clockCheck({ workloads }: Facts): Check {
  const name = "clocks";
  const known = workloads.flatMap(({ skewMs, ...workload }) => (skewMs === undefined ? [] : [{ workload, skewMs }]));
  const worst = known.toSorted((a, b) => Math.abs(b.skewMs) - Math.abs(a.skewMs))[0];
  if (worst === undefined) return ok(name, "No sidecar has told its time yet.");
  const off = Math.abs(worst.skewMs);
  if (off < noticedSkewMs) return ok(name, `${count(known.length, "sidecar")} and the controller agree within ${noticedSkewMs / 1000} s.`);
  const same = known.filter(({ skewMs }) => Math.abs(skewMs) >= noticedSkewMs).length === known.length;
  const behind = worst.skewMs > 0 ? "behind" : "ahead of";
  return {
    name,
    status: off < worstSkewMs ? "warn" : "fail",
    what: `The controller's clock is ${duration(off)} ${behind} that of ${worst.workload.service} (${worst.workload.id}).`,
    why: `${same ? "All sidecars say so: the controller's clock is wrong. " : ""}Certificates are valid by the controller's clock. Sidecars keep those that they have, but cannot renew them, and new workloads get none.`,
    action: "Set the clock right. Nothing has to be started again.",
  };
}

function duration(ms: number): string {
  if (ms < 120_000) return `${Math.round(ms / 1000)} s`;
  return ms < 2 * hourMs ? `${Math.round(ms / 60_000)} min` : `${(ms / hourMs).toFixed(1)} h`;
}

function sidecarCheck({ now, workloads }: Facts): Check {
  const name = "sidecars";
  const missing = workloads.filter(({ state }) => state !== "live");
  if (missing.length === 0) return ok(name, `${count(workloads.length, "workload")}, each with its sidecar.`);
  const young = missing.every(({ state, registeredAt }) => state === "starting" && now - registeredAt < youngMs);
  return {
    name,
    status: young ? "warn" : "fail",
    what: `Not connected: ${list(missing.map((workload) => `${named(workload)}, ${workload.state}`))}.`,
    why: young
      ? "They are being started."
      : "The sidecar ended, is stopped, or cannot reach the controller. Without it the workload is not called.",
    action: young
      ? ""
      : "The launcher starts a sidecar that ended again, and says why on its standard error; `weft logs` of the workload says more.",
  };
}

function certificateCheck({ now, workloads }: Facts): Check {
  const name = "certificates";
  const known = workloads.filter((workload) => workload.certificateEnds !== undefined);
  const left = ({ certificateEnds = 0 }: WorkloadFacts) => certificateEnds - now;
  const expired = known.filter((workload) => left(workload) <= 0);
  const why = "Its sidecar could not renew it: the controller was away, or the clocks differ.";
  const action = "See the clocks above; `weft logs` of the workload says what its sidecar tried. It renews by itself once it can.";
  if (expired.length > 0) return { name, status: "fail", what: `Expired: ${list(expired.map(named))}.`, why, action };
  const overdue = known.filter((workload) => left(workload) < overdueMs);
  if (overdue.length > 0) return { name, status: "warn", what: `Not renewed in time: ${list(overdue.map(named))}.`, why, action };
  const next = Math.min(...known.map(left));
  return ok(
    name,
    known.length === 0 ? "No sidecar has told its certificate yet." : `${known.length} are valid, for ${duration(next)} at least.`,
  );
}

function trustCheck({ workloads }: Facts): Check {
  const name = "trust";
  const behind = workloads.filter(({ trustBehind }) => trustBehind);
  if (behind.length === 0) return ok(name, "Every sidecar that is connected has the newest trust bundle.");
  return {
    name,
    status: "fail",
    what: `Without the newest trust bundle: ${list(behind.map(named))}.`,
    why: "The sidecar refused the bundle, or stands still. It may accept certificates of workloads that were removed.",
    action: "`weft logs` of the workload says why. Start the workload again if that does not help.",
  };
}

function restartCheck({ now, workloads }: Facts): Check {
  const name = "restarts";
  const restarted = workloads.filter(({ restarts }) => restarts > 0);
  if (restarted.length === 0) return ok(name, "No sidecar had to be started again.");
  const latest = restarted.toSorted((a, b) => (b.lastEnd?.atMs ?? 0) - (a.lastEnd?.atMs ?? 0))[0] as WorkloadFacts;
  const recent = now - (latest.lastEnd?.atMs ?? 0) < recentMs;
  const what = list(restarted.map((workload) => `${named(workload)} ${count(workload.restarts, "time")}`));
  const last = latest.lastEnd === null ? "" : ` The last, of ${latest.service}, at ${time(latest.lastEnd.atMs)}: ${latest.lastEnd.reason}.`;
  if (!recent) return ok(name, `Started again: ${what}, none in the last ten minutes.`);
  return {
    name,
    status: "warn",
    what: `Started again: ${what}.${last}`,
    why: "A sidecar ended by itself or was killed. Connections that it carried are lost.",
    action: `\`weft logs ${latest.id}\` has its last words.`,
  };
}

function versionCheck({ version, workloads }: Facts): Check {
  const name = "versions";
  const other = workloads.filter((workload) => workload.version !== undefined && workload.version !== version);
  if (other.length === 0) return ok(name, `The controller and every sidecar are of version ${version}.`);
  return {
    name,
    status: "warn",
    what: `The controller is of version ${version}; others: ${list(other.map(versionOf))}.`,
    why: "They were started before Weft was installed anew. What one side does not know the other leaves out.",
    action: "Start these workloads again when it suits.",
  };
}

function versionOf(workload: WorkloadFacts): string {
  return `${named(workload)} ${workload.version}${workload.lacks.length === 0 ? "" : `, without ${workload.lacks.join(", ")}`}`;
}

function listeningCheck({ now, workloads }: Facts): Check {
  const name = "ports";
  const unreadable = workloads.filter(({ portsUnreadable }) => portsUnreadable !== "");
  if (unreadable.length > 0) {
    return {
      name,
      status: "warn",
      what: `The ports that programs listen on cannot be read: ${list(unreadable.map((workload) => `${named(workload)}: ${workload.portsUnreadable}`))}.`,
      why: "Its sidecar asks the kernel, which does not answer as it should. Until it does, the last ports that were read hold.",
      action: "Nothing, if it passes: it is tried again all the time. If a port is missing, start the program again.",
    };
  }
  const silent = workloads.filter(
    ({ state, silentPorts, registeredAt }) => state === "live" && silentPorts.length > 0 && now - registeredAt >= youngMs,
  );
  if (silent.length === 0) return ok(name, "Every program listens on the ports that it declared.");
  return {
    name,
    status: "warn",
    what: `Nothing listens: ${list(silent.map((workload) => `${named(workload)} on ${workload.silentPorts.join(", ")}`))}.`,
    why: "The program is not ready, listens elsewhere, or its `--port` is wrong. It gets no calls on these ports until it listens.",
    action: "`weft status` shows on which ports it listens; its own output says why.",
  };
}

function publishedCheck({ now, workloads }: Facts): Check {
  const name = "published ports";
  const taken = workloads.filter(({ unpublished, registeredAt }) => unpublished.length > 0 && now - registeredAt >= youngMs);
  if (taken.length === 0) return ok(name, "Every published port is open on this machine.");
  return {
    name,
    status: "warn",
    what: `Not open on 127.0.0.1: ${list(taken.map((workload) => `${workload.unpublished.join(", ")} of ${named(workload)}`))}.`,
    why: "Another program of this machine holds them, or they need rights.",
    action: "End what holds them (`ss -ltnp` names it): they are opened by themselves then. Or choose others with `--port`.",
  };
}

function updateCheck({ workloads, rejections, malformed }: Facts): Check {
  const name = "updates";
  const mismatches = workloads.reduce((sum, { baseMismatches }) => sum + baseMismatches, 0);
  const unusable = Math.max(
    rejections.count,
    workloads.reduce((sum, { updatesRejected }) => sum + updatesRejected, 0),
  );
  const lost = workloads.reduce((sum, { reportsLost }) => sum + reportsLost, 0);
  if (mismatches === 0 && unusable === 0 && malformed === 0 && lost === 0)
    return ok(name, "Every sidecar holds what it was sent, and every report could be read.");
  const { last } = rejections;
  const latest = last === undefined ? "" : ` The last: ${last.workload} refused ${JSON.stringify(last.name)}: ${last.reason}.`;
  return {
    name,
    status: "warn",
    what: `${mismatches} updates were lost and made good, ${unusable} were refused, ${malformed} histograms could not be read, ${lost} reports were refused and are lost.${latest}`,
    why: "Sidecars of other versions may not understand the controller; otherwise it is a fault.",
    action: "If all are of one version, please report it with logs/controller.log.",
  };
}

const outOfRoom = ["WEFT-P-OUT-OF-DESCRIPTORS", "WEFT-P-TOO-MANY-CONNECTIONS"];

function refusalCheck({ refusals: all }: Facts): Check {
  const name = "refused connections";
  const refusals = all.filter(({ reason }) => !outOfRoom.includes(reason));
  const worst = refusals.toSorted((a, b) => b.count - a.count)[0];
  if (worst === undefined) return ok(name, "None.");
  const total = refusals.reduce((sum, each) => sum + each.count, 0);
  return {
    name,
    status: "warn",
    what: `${total}; most often by ${worst.service}, from ${worst.address}: ${worst.reason}${worst.detail === "" ? "" : ` (${worst.detail})`}.`,
    why: "Somebody called a sidecar without a certificate of this mesh, or for what it does not serve.",
    action: "`weft edges` lists them with their reasons.",
  };
}

function roomCheck({ refusals }: Facts): Check {
  const name = "room for connections";
  const short = refusals.filter(({ reason }) => outOfRoom.includes(reason));
  const worst = short.toSorted((a, b) => b.count - a.count)[0];
  if (worst === undefined) return ok(name, "No sidecar ran short.");
  const services = [...new Set(short.map(({ service }) => service))];
  return {
    name,
    status: "warn",
    what: `Sidecars of ${list(services)} ran short: ${worst.detail === "" ? "" : `${worst.detail} `}(${worst.reason}).`,
    why: "Somebody opens very many connections, or the limit of open files is low. Idle connections are ended to make room.",
    action:
      "`weft edges` shows who calls. Raise the hard limit of open files (`ulimit -Hn`) where `weft run` is called, and start the workload again.",
  };
}

function logCheck({ errors }: Facts): Check {
  const name = "controller's log";
  if (errors.count === 0) return ok(name, "No error since its start.");
  return {
    name,
    status: "warn",
    what: `${count(errors.count, "error")} since its start; the last: ${errors.last}.`,
    why: "",
    action: "`weft logs controller` has the details.",
  };
}

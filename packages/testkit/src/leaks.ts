import { closeSync, openSync, readdirSync, readFileSync, readlinkSync } from "node:fs";

function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined; // The process ended meanwhile.
  }
}

/** Numbers of all processes, zombies excepted. */
export function processes(): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => !(attempt(() => readFileSync(`/proc/${pid}/stat`, "utf8")) ?? ") Z").includes(") Z"));
}

/** A process's arguments. */
export function argumentsOf(pid: number): string[] {
  return (attempt(() => readFileSync(`/proc/${pid}/cmdline`, "utf8")) ?? "").split("\0").slice(0, -1);
}

/** Processes that have `text` among their arguments or in their environment. */
export function processesWith(text: string): number[] {
  return processes().filter((pid) => {
    if (pid === process.pid) return false;
    return argumentsOf(pid).join("\0").includes(text) || (attempt(() => readFileSync(`/proc/${pid}/environ`, "utf8")) ?? "").includes(text);
  });
}

/** The parent of each process. */
function parents(): Map<number, number> {
  return new Map(
    processes().map((pid) => {
      const stat = attempt(() => readFileSync(`/proc/${pid}/stat`, "utf8")) ?? "";
      return [pid, Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1])];
    }),
  );
}

/** A process and everything that it started, as far as it still runs. */
export function familyOf(ancestor: number): number[] {
  const parentOf = parents();
  const belongs = (pid: number | undefined): boolean => pid !== undefined && pid > 1 && (pid === ancestor || belongs(parentOf.get(pid)));
  return [...parentOf.keys()].filter(belongs);
}

const namespaceKinds = ["net", "mnt", "user"] as const;

/** The namespaces of a process, as "net:[4026531840]". */
export function namespacesOf(pid: number): string[] {
  return namespaceKinds.map((kind) => attempt(() => readlinkSync(`/proc/${pid}/ns/${kind}`))).filter((name) => name !== undefined);
}

/** TCP ports on which these processes listen, in this network namespace. */
export function portsOf(pids: readonly number[]): number[] {
  const inodes = new Set(
    pids.flatMap((pid) =>
      (attempt(() => readdirSync(`/proc/${pid}/fd`)) ?? []).map((fd) => attempt(() => readlinkSync(`/proc/${pid}/fd/${fd}`))),
    ),
  );
  return ["/proc/self/net/tcp", "/proc/self/net/tcp6"].flatMap((table) =>
    (attempt(() => readFileSync(table, "utf8")) ?? "")
      .split("\n")
      .slice(1)
      .map((line) => line.trim().split(/\s+/))
      .filter((fields) => fields[3] === "0A" && inodes.has(`socket:[${fields[9]}]`))
      .map((fields) => Number.parseInt(fields[1]?.split(":")[1] ?? "", 16)),
  );
}

/** What a mesh holds of the machine: to be compared with what is left after its end. */
export interface Holdings {
  processes: number[];
  /** Namespaces that only the mesh's processes are in, each with a descriptor that keeps it: its number would be that of the next one that somebody makes. */
  namespaces: Map<string, number>;
  ports: number[];
}

/** What these processes hold, `network` excepted. */
export function holdingsOf(pids: readonly number[], network?: string): Holdings {
  const own = new Set([...namespacesOf(process.pid), network]);
  const namespaces = new Map<string, number>();
  for (const pid of pids)
    for (const kind of namespaceKinds) {
      const path = `/proc/${pid}/ns/${kind}`;
      const name = attempt(() => readlinkSync(path));
      if (name === undefined || own.has(name) || namespaces.has(name)) continue;
      const descriptor = attempt(() => openSync(path, "r"));
      if (descriptor !== undefined) namespaces.set(name, descriptor);
    }
  return { processes: [...pids], namespaces, ports: portsOf(pids) };
}

/** What of `holdings` is still there, in words; empty when nothing is, and then nothing is kept of them. */
export function leftOf({ processes: pids, namespaces, ports }: Holdings): string[] {
  const alive = processes();
  const mounts = readFileSync("/proc/self/mountinfo", "utf8");
  const inUse = new Set(alive.flatMap(namespacesOf));
  const listening = new Set(portsOf(alive));
  const left = [
    ...pids.filter((pid) => alive.includes(pid)).map((pid) => `process ${pid}: ${argumentsOf(pid).join(" ")}`),
    ...[...namespaces.keys()].filter((name) => inUse.has(name) || mounts.includes(name)).map((name) => `namespace ${name}`),
    ...ports.filter((port) => listening.has(port)).map((port) => `listener on port ${port}`),
  ];
  if (left.length === 0) {
    for (const descriptor of namespaces.values()) closeSync(descriptor);
    namespaces.clear();
  }
  return left;
}

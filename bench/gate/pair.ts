// Two real sidecars, each below a program that counts what it does, with a client and a server behind them.
import { chmodSync, copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { argumentsOf, familyOf, freePort, type Mesh, memoryOf, Running, until } from "@weft/testkit";
import type { Protocol, Side } from "./judge.ts";

/** A caller and what it calls. */
export interface Pair {
  /** Tells the client what to do. */
  tell(order: string): void;
  /** Tells the client what to do, and answers how many requests it made, once it says so. */
  ask(order: string): Promise<number>;
  /** Ends a sidecar, and answers what its counter wrote. */
  count(side: Side): Promise<string>;
  /** Resident anonymous memory of a sidecar, bytes. */
  anonymous(side: Side): number;
  /** Ends all. */
  stop(): Promise<void>;
}

/** What counts: a command line before the sidecar's, with "OUT" for the file to write, and what stands in the file when it is whole. */
export interface Counter {
  command: readonly string[];
  whole: RegExp;
}

/** Where the binaries are, and what counts. */
export interface Setting {
  mesh: Mesh;
  binaries: string;
  counter: Counter;
}

const programs = join(import.meta.dirname, "programs.ts");
// A sidecar below valgrind is slow, and the machine may be busy.
const patience = { timeoutMs: 120_000 };

/** Starts a service with one caller. Each has made one request when this resolves. */
export async function startPair(setting: Setting, name: string, protocol: Protocol): Promise<Pair> {
  const port = await freePort();
  const server = await launch(setting, name, ["server", protocol, String(port)], { ports: [{ servicePort: 80, targetPort: port }] });
  const diagnose = () => server.describe();
  const isOffered = async () => (await setting.mesh.api.services()).find((service) => service.name === name)?.endpoints.length;
  await until(`the server of ${name}`, () => server.stdout.includes("listening"), { ...patience, diagnose });
  await until(`the instance of ${name}`, async () => (await isOffered()) === 1, { ...patience, diagnose });
  const client = await launch(setting, `${name}-caller`, ["client", protocol], { upstream: `${name}:80` });
  const members = { caller: client, called: server };
  const pair: Pair = {
    tell: (order) => void client.child.stdin?.write(`${order}\n`),
    async ask(order) {
      const before = client.stdout.length;
      pair.tell(order);
      const said = () => /asked (\d+)\n/.exec(client.stdout.slice(before))?.[1];
      const answer = await until(`an answer to ${order}`, () => said() ?? (client.isOver && "over"), {
        timeoutMs: 300_000,
        diagnose: () => client.describe(),
      });
      if (answer === "over") throw new Error(`the client ended: ${client.describe()}`);
      return Number(answer);
    },
    async count(side) {
      const sidecar = sidecarOf(members[side]);
      // It does not wait for long, and below valgrind ending takes its time.
      members[side].child.kill("SIGSTOP");
      process.kill(sidecar, "SIGTERM");
      const file = fileOf(setting.mesh, side === "caller" ? `${name}-caller` : name);
      const read = () => {
        const text = readFileSync(file, "utf8");
        return setting.counter.whole.test(text) && text;
      };
      return until(`what the ${side} sidecar of ${name} counted`, read, { ...patience, diagnose: () => members[side].describe() });
    },
    anonymous: (side) => memoryOf(sidecarOf(members[side])).anonymous,
    async stop() {
      for (const { child } of [client, server]) child.kill("SIGCONT");
      await Promise.all([client.stop(), server.stop()]);
    },
  };
  await pair.ask("MANY 1");
  return pair;
}

const fileOf = (mesh: Mesh, service: string) => join(mesh.folder, `${service}.counted`);

interface Options {
  ports?: { servicePort: number; targetPort: number }[];
  upstream?: string;
}

/** What `weft run` does, but with a launcher that finds the counted sidecar beside it. */
async function launch(
  { mesh, binaries, counter }: Setting,
  service: string,
  command: string[],
  { ports = [], upstream }: Options,
): Promise<Running> {
  const folder = join(mesh.folder, `bin-${service}`);
  mkdirSync(folder);
  copyFileSync(join(binaries, "weft-launch"), join(folder, "weft-launch"));
  const [sidecar, out] = [join(binaries, "weft-proxy"), fileOf(mesh, service)];
  const counted = [...counter.command.map((word) => word.replace("OUT", out)), sidecar].join(" ");
  // The one that is started when the counted one has ended is not counted.
  const script = `#!/bin/sh\n[ -e ${out}.begun ] && exec ${sidecar}\n: >${out}.begun\nexec ${counted}\n`;
  writeFileSync(join(folder, "weft-proxy"), script);
  chmodSync(join(folder, "weft-proxy"), 0o755);
  const registration = { service, namespace: "default", ports, publish: false, command, pid: process.pid };
  const { id, address, virtualAddress } = await mesh.api.registerWorkload(registration);
  const options = ["--workload", id, "--service", service, "--namespace", "default", "--address", address];
  options.push("--virtual-address", virtualAddress, "--state", mesh.state, "--redirect", "proxy");
  for (const { servicePort, targetPort } of ports) options.push("--port", `${servicePort}:${targetPort}`);
  if (upstream) options.push("--upstream", upstream);
  return new Running(join(folder, "weft-launch"), [...options, "--", process.execPath, programs, ...command], {
    env: mesh.env,
    stdio: ["pipe", "pipe", "pipe"],
  });
}

/** The process that is a member's sidecar: below valgrind it has another name, and strace has it among its arguments. */
function sidecarOf(member: Running): number {
  const found = familyOf(member.pid).find((pid) => {
    const [program = "", ...rest] = argumentsOf(pid);
    return !program.endsWith("strace") && (rest.at(-1) ?? program).endsWith("/weft-proxy");
  });
  if (found === undefined) throw new Error(`no sidecar: ${member.describe()}`);
  return found;
}

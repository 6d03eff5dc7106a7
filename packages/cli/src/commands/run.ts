import { writeSync } from "node:fs";
import { flushCompileCache } from "node:module";
import { setTimeout as delay } from "node:timers/promises";
import { ApiClient, defaultNamespace, type PortMapping, type RegisteredWorkload, type RegisterWorkload, WeftError } from "@weft/api/light";
import { ensureController, isNotRunning } from "../controller.ts";
import { usageError } from "../errors.ts";
import { checkName, parsePortMappings, parseUpstream, type Redirection } from "../options.ts";
import { findLauncher } from "../paths.ts";
import { progress } from "../terminal.ts";

/** How long a controller that does not answer as it should is waited for. */
const patienceMs = 10_000;
const retryMs = 200;

/** What follows `weft run NAME` on the command line. */
export interface RunOptions {
  port?: string[];
  publish: boolean;
  upstream?: string[];
  redirect: Redirection;
  /** End the program when the process that called this is gone. */
  endWithParent?: boolean;
  state: string;
}

/** Registers a workload and becomes its launcher: this process is replaced, so it keeps its number, terminal, and parent. */
export async function run(name: string | undefined, command: string[], options: RunOptions): Promise<never> {
  const example = `For example: weft run ${name ?? "users"} --port 8080 -- node users.js`;
  if (name === undefined) throw usageError("`weft run` needs a name for the service.", example);
  checkName(name);
  if (command.length === 0) throw usageError("`weft run` needs the program to start, after `--`.", example);
  const ports = parsePortMappings(options.port ?? []);
  const upstreams = (options.upstream ?? []).map(parseUpstream);
  const launcher = await findLauncher();
  if (launcher.debug) writeSync(2, "weft: using a debug build of the proxy, which is slow. `cargo build --release` makes a fast one.\n");

  const registration = { service: name, ports, publish: options.publish, command: commandToShow(command), pid: process.pid };
  const workload = await register(options.state, registration);
  const { NODE_COMPILE_CACHE: _ours, WEFT_OPEN_FILES: openFiles = "", ...env } = process.env;
  // This process does not end but becomes another, and would forget what it compiled.
  flushCompileCache();
  try {
    process.execve?.(
      launcher.path,
      launcherArguments(launcher.path, { ...options, openFiles }, { ports, upstreams }, workload, command),
      env,
    );
  } catch (error) {
    await new ApiClient(options.state).endWorkload(workload.id);
    throw error;
  }
  throw new Error("this Node cannot replace its process");
}

// A program may have arguments of megabytes; nobody reads them in a list.
const maxShown = { arguments: 1000, characters: 4000 };

/** The command as the controller shows it to people: its beginning when it is long, which "…" says. */
export function commandToShow(command: readonly string[]): string[] {
  const shown: string[] = [];
  let left = maxShown.characters;
  for (const argument of command) {
    if (shown.length === maxShown.arguments || left === 0) return [...shown, "…"];
    shown.push(argument.length > left ? `${argument.slice(0, left).toWellFormed()}…` : argument);
    left = Math.max(0, left - argument.length);
  }
  return shown;
}

/** The launcher's arguments, as ARCHITECTURE.md says them. */
export function launcherArguments(
  path: string,
  options: Pick<RunOptions, "state" | "redirect" | "endWithParent"> & { openFiles?: string },
  { ports, upstreams }: { ports: PortMapping[]; upstreams: string[] },
  workload: Omit<RegisteredWorkload, "identity">,
  command: string[],
): string[] {
  return [
    path,
    ...["--workload", workload.id, "--service", workload.service, "--namespace", workload.namespace, "--address", workload.address],
    ...["--virtual-address", workload.virtualAddress, "--state", options.state, "--redirect", options.redirect],
    ...ports.flatMap(({ servicePort, targetPort, protocol }) => [
      "--port",
      `${servicePort}:${targetPort}${protocol ? `/${protocol}` : ""}`,
    ]),
    ...(/^\d+$/.test(options.openFiles ?? "") ? ["--open-files", String(options.openFiles)] : []),
    ...(options.endWithParent ? ["--parent", String(process.ppid)] : []),
    ...workload.publish.flatMap((port) => ["--publish", String(port)]),
    ...(workload.siblings > 0 ? ["--siblings", String(workload.siblings)] : []),
    ...upstreams.flatMap((upstream) => ["--upstream", upstream]),
    "--",
    ...command,
  ];
}

/** Registers, if need be with a controller that is started for it. One that is just ending or starting is waited for. */
async function register(stateDir: string, body: RegisterWorkload): Promise<RegisteredWorkload> {
  const client = new ApiClient(stateDir);
  const deadline = Date.now() + patienceMs;
  let done = () => {};
  try {
    for (;;) {
      try {
        return await client.registerWorkload({ ...body, namespace: defaultNamespace });
      } catch (error) {
        const passing = isNotRunning(error) || (error instanceof WeftError && error.code === "WEFT-L-CONTROLLER-UNREACHABLE");
        if (!passing || Date.now() > deadline) throw error;
        done();
        done = progress("Waiting for the controller");
        // Should the answer have been lost, what was registered is forgotten within a minute.
        if (isNotRunning(error)) await ensureController(stateDir);
        else await delay(retryMs);
      }
    }
  } finally {
    done();
  }
}

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { ApiClient, maxSocketPath, type Stat, type Status, statePaths, type Workload } from "@weft/api/light";
import { statLines } from "../commands/stat.ts";
import { ensureController, stopController } from "../controller.ts";
import { endOnSignals } from "../ending.ts";
import { cliError } from "../errors.ts";
import { LogReader } from "../log-reader.ts";
import type { Redirection } from "../options.ts";
import { type Format, print, say } from "../output.ts";
import { findLauncher, repository } from "../paths.ts";
import { Screen } from "../screen.ts";
import { colour } from "../terminal.ts";
import { freePorts } from "./ports.ts";
import { Runner } from "./runner.ts";
import { calledServices, shop } from "./shop.ts";

const windowSeconds = 10;
const trafficTimeoutMs = 30_000;
// Together below five seconds, which is how long an end may take.
const programGraceMs = 2500;
const controllerGraceMs = 1500;

/** What follows `weft demo` on the command line. */
export interface DemoOptions {
  /** End after so many seconds. Default: at a signal. */
  seconds?: number;
  /** End as soon as every service has traffic and the one that fails on purpose has failed. */
  once: boolean;
  /** End when the process that started it is gone. */
  endWithParent?: boolean;
  redirect: Redirection;
  output: Format;
}

/** A demo that runs. */
interface Mesh {
  state: string;
  client: ApiClient;
  status: Status;
  runners: Runner[];
  webPort: number;
}

/** Runs the shop on a controller of its own until a signal or the time is up. Answers the exit code; leaves nothing behind. */
export async function demo(options: DemoOptions): Promise<number> {
  const launcher = await findLauncher();
  if (launcher.debug) say("weft: the proxy is a debug build, which is slow. `cargo build --release` makes a fast one.");
  const ending = endOnSignals({ withParent: options.endWithParent });
  const state = await temporaryState();
  const runners: Runner[] = [];
  let status: Status | undefined;
  try {
    ({ status } = await ensureController(state, { owner: process.pid }));
    say(`Starting ${shop.length} programs, each behind its own sidecar...`);
    const [webPort, ...ports] = (await freePorts(shop.length + 1)) as [number, ...number[]];
    for (const [index, member] of shop.entries()) {
      const published = member.published ? { published: webPort } : {};
      runners.push(new Runner(member, ports[index] as number, { state, redirect: options.redirect, ...published }));
    }
    await watch({ state, client: new ApiClient(state), status, runners, webPort }, options, ending);
    return 0;
  } finally {
    say("Ending the demo...");
    await Promise.all(runners.filter(({ member }) => !member.called).map((runner) => runner.stop(programGraceMs)));
    await Promise.all(runners.map((runner) => runner.stop(programGraceMs)));
    if (status !== undefined) await endController(state, status.pid);
    await rm(state, { recursive: true, force: true, maxRetries: 3 });
  }
}

async function watch(mesh: Mesh, options: DemoOptions, ending: AbortSignal): Promise<void> {
  const started = Date.now();
  const screen = new Screen({ steadyMs: 5000 });
  let complete = false;
  for (;;) {
    const [stat, workloads] = await Promise.all([mesh.client.stat({ window: windowSeconds }), mesh.client.workloads()]);
    const missing = withoutTraffic(stat, workloads);
    complete ||= missing.length === 0;
    const elapsed = Date.now() - started;
    if (!complete) await failIfHopeless(mesh, missing, elapsed);
    const isLast = ending.aborted || (complete && isOver(options, stat, elapsed));
    if (options.output === "table" && (complete || process.stdout.isTTY)) screen.show(demoLines(mesh, stat, workloads, missing), isLast);
    if (isLast) return options.output === "table" ? undefined : print(options.output, stat, () => []);
    await delay(complete ? 1000 : 200, undefined, { signal: ending }).catch(() => undefined);
  }
}

function isOver({ once, seconds }: DemoOptions, stat: Stat, elapsedMs: number): boolean {
  const sawFailure = stat.rows.some(({ direction, failures }) => direction === "inbound" && failures > 0);
  return (once && sawFailure) || (seconds !== undefined && elapsedMs >= seconds * 1000);
}

/** Everything that the demo shows. */
function demoLines({ state, status, runners, webPort }: Mesh, stat: Stat, workloads: Workload[], missing: string[]): string[] {
  const weft = `WEFT_STATE=${state} ${relative(process.cwd(), join(repository, "bin/weft"))}`;
  // Without namespaces the programs are on this machine's loopback themselves, and nothing is published.
  const isOpen = workloads.some(({ published }) => published.includes(webPort));
  const ways = [...new Set(workloads.map(({ redirection }) => redirection).filter((way) => way !== null))];
  return [
    colour(
      "bold",
      `${calledServices.length + 1} services, ${shop.length} programs, each behind its own sidecar${ways.length > 0 ? ` (${ways.join(", ")})` : ""}`,
    ),
    "",
    ...statLines(stat),
    ...(missing.length > 0 ? ["", `Waiting for ${missing.join(", ")}`] : []),
    ...runners
      .filter(({ ended }) => ended !== undefined)
      .map(({ member, ended }) => colour("yellow", `${member.title} has ended: ${ended}`)),
    "",
    `Page:  ${colour("bold", status.pageUrl)}`,
    `Try:   ${weft} edges`,
    `       ${weft} stat orders -o json`,
    `       ${weft} status`,
    ...(isOpen ? [`       curl http://127.0.0.1:${webPort}/checkout`] : []),
    "Ctrl-C ends it and leaves nothing behind.",
  ];
}

/** What has to happen still before the mesh is complete: traffic to every service, a live sidecar beside every program. */
export function withoutTraffic(stat: Stat, workloads: Pick<Workload, "service" | "state">[]): string[] {
  const called = new Set(
    stat.rows.filter(({ direction, totals }) => direction === "inbound" && totals.requests > 0).map(({ service }) => service),
  );
  const missing = shop.filter(({ service, called: mustBe }) => {
    const instances = shop.filter((member) => member.service === service).length;
    const live = workloads.filter((workload) => workload.service === service && workload.state === "live").length;
    return live < instances || (mustBe && !called.has(service));
  });
  return [...new Set(missing.map(({ service }) => service))];
}

async function failIfHopeless({ state, client, runners }: Mesh, missing: string[], elapsed: number): Promise<void> {
  const ended = runners.find((runner) => runner.ended !== undefined);
  if (ended !== undefined) throw failure(`${ended.member.title} ended at its start (${ended.ended}).`, ended.lines);
  if (elapsed < trafficTimeoutMs) return;
  const workloads = await client.workloads();
  const lines = await Promise.all(
    workloads
      .filter(({ service }) => missing.includes(service))
      .map(async ({ id, service, state: sidecar, listening }) => {
        const said = await new LogReader(statePaths(state).workloadLog(id)).last(3);
        return [
          `${service}: sidecar ${sidecar}, program listens on ${listening?.join(", ") || "nothing"}`,
          ...said.map((line) => `  ${line}`),
        ];
      }),
  );
  const programs = runners.filter(({ member }) => missing.includes(member.service)).flatMap((runner) => runner.lines);
  throw failure(`After ${trafficTimeoutMs / 1000} s there is no traffic to ${missing.join(", ")}.`, [
    ...lines.flat(),
    ...new Set(programs),
  ]);
}

function failure(what: string, lines: string[]): Error {
  return cliError(
    "WEFT-L-DEMO-FAILED",
    `The demo does not run: ${what}${lines.length > 0 ? ` The last messages:\n${lines.join("\n")}\n` : ""}`,
    "`weft check` says more.",
  );
}

async function temporaryState(): Promise<string> {
  const prefix = "weft-demo-";
  const longest = statePaths(join(tmpdir(), `${prefix}XXXXXX`)).controlSocket;
  return mkdtemp(join(Buffer.byteLength(longest) > maxSocketPath ? "/tmp" : tmpdir(), prefix));
}

async function endController(state: string, pid: number): Promise<void> {
  await stopController(state, pid, controllerGraceMs).catch(() => {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It ended meanwhile.
    }
  });
}

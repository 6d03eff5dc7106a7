// npm run bench:control: what a controller takes to serve many sidecars. README.md says how it is measured.
import { type ChildProcess, fork, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { Agent, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { statePaths } from "@weft/api";
import type { Answer, Order } from "./control/proxies.ts";

const { values } = parseArgs({
  options: {
    services: { type: "string", default: "1000" },
    endpoints: { type: "string", default: "10000" },
    proxies: { type: "string", default: "2000" },
    uses: { type: "string", default: "20" },
    seconds: { type: "string", default: "60" },
  },
});
const size = {
  services: Number(values.services),
  endpoints: Number(values.endpoints),
  proxies: Number(values.proxies),
  uses: Number(values.uses),
  seconds: Number(values.seconds),
};

const changesASecond = 100;
const parallel = 32;
const settleMs = 3_000;
const ticksASecond = 100;
/** Networks of changed addresses, as 10.BLOCK.0.0. */
const changedBlocks = [98, 99] as const;

const state = mkdtempSync(join(tmpdir(), "weft-bench-"));
const paths = statePaths(state);
const now = () => Number(process.hrtime.bigint()) / 1e6;

let controller: ChildProcess | undefined;
let agent = new Agent({ keepAlive: true, maxSockets: parallel });

/** Starts the controller on one core of its own. */
async function start(): Promise<void> {
  const main = fileURLToPath(new URL("../packages/controller/src/main.ts", import.meta.url));
  const args = ["-c", "0", process.execPath, main, "--state", state, "--page-port", "0"];
  const started = spawn("taskset", args, { stdio: ["ignore", "pipe", "inherit"] });
  controller = started;
  await once(started.stdout, "data");
}

async function call(method: string, path: string, body?: unknown): Promise<unknown> {
  const text = body === undefined ? "" : JSON.stringify(body);
  const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(text) };
  const sent = request({ socketPath: paths.apiSocket, agent, method, path, headers });
  sent.end(text);
  const [response] = (await once(sent, "response")) as [import("node:http").IncomingMessage];
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  const answer = Buffer.concat(chunks).toString("utf8");
  if ((response.statusCode ?? 0) >= 300) throw new Error(`${method} ${path}: ${response.statusCode} ${answer}`);
  return answer === "" ? undefined : JSON.parse(answer);
}

const serviceOf = (index: number) => ({
  apiVersion: "v1",
  kind: "Service",
  metadata: { name: `service-${index}`, namespace: "default" },
  spec: { ports: [{ name: "http", port: 80, targetPort: 8080, appProtocol: "http" }] },
});

const perService = Math.max(1, Math.round(size.endpoints / size.services));

/** The slice of a service; `changed` takes the place of its first address. */
function sliceOf(index: number, changed?: string): { metadata: { name: string } & Record<string, unknown> } & Record<string, unknown> {
  const addresses = Array.from({ length: perService }, (_, each) => `10.${index >> 8}.${index & 255}.${each + 1}`);
  if (changed !== undefined) addresses[0] = changed;
  return {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: { name: `service-${index}-a`, namespace: "default", labels: { "kubernetes.io/service-name": `service-${index}` } },
    addressType: "IPv4",
    ports: [{ name: "http", port: 8080, protocol: "TCP" }],
    endpoints: addresses.map((address) => ({ addresses: [address], conditions: { ready: true } })),
  };
}

const slices = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";

async function each(count: number, run: (index: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const worker = async () => {
    while (next < count) await run(next++);
  };
  await Promise.all(Array.from({ length: parallel }, worker));
}

/** Milliseconds of processor time that the controller has used. */
function cpuMs(): number {
  const stat = readFileSync(`/proc/${controller?.pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return ((Number(fields[11]) + Number(fields[12])) * 1_000) / ticksASecond;
}

function residentMb(): number {
  const [, kilobytes = "0"] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${controller?.pid}/status`, "utf8")) ?? [];
  return Number(kilobytes) / 1024;
}

/** Runs something; answers also the longest time for which the controller answered nobody meanwhile, asked from outside each 10 ms. */
async function withStall<T>(run: () => Promise<T>): Promise<{ result: T; stallMs: number }> {
  let over = false;
  const watch = async () => {
    let longest = 0;
    while (!over) {
      const asked = now();
      await call("GET", "/version");
      longest = Math.max(longest, now() - asked);
      await delay(10);
    }
    return longest;
  };
  const watching = watch();
  const result = await run();
  over = true;
  return { result, stallMs: await watching };
}

const proxies = fork(fileURLToPath(new URL("./control/proxies.ts", import.meta.url)), { serialization: "advanced" });

proxies.once("exit", () => {
  process.stderr.write("the simulated sidecars ended\n");
  process.exit(1);
});

async function order(what: Order): Promise<Answer> {
  const answered = once(proxies, "message");
  proxies.send(what);
  const [answer] = (await answered) as [Answer];
  return answer;
}

const percentile = (sorted: number[], part: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN;

function say(what: string, value: number, unit: string, reach?: number): void {
  const verdict = reach === undefined ? "" : value < reach ? `  (below ${reach}: yes)` : `  (below ${reach}: NO)`;
  process.stdout.write(`${what.padEnd(58)} ${value.toFixed(1).padStart(9)} ${unit}${verdict}\n`);
}

async function cpuShare(ms: number): Promise<number> {
  const [before, started] = [cpuMs(), now()];
  await delay(ms);
  return ((cpuMs() - before) / (now() - started)) * 100;
}

/** Holds changes for a while, of an address each that no other has: `block` is its second part. */
async function changes(when: string, block: number): Promise<void> {
  const sent = new Map<string, number>();
  const total = changesASecond * size.seconds;
  await order({ do: "collect" });
  const started = now();
  const pending: Promise<unknown>[] = [];
  for (let index = 0; index < total; index += 1) {
    const due = started + (index * 1_000) / changesASecond;
    if (due > now()) await delay(due - now());
    const address = `10.${block}.${index >> 8}.${index & 255}`;
    const slice = sliceOf(index % size.services, address);
    sent.set(address, now());
    pending.push(call("PUT", `${slices}/${slice.metadata.name}`, slice));
  }
  await Promise.all(pending);
  await delay(settleMs);
  const { heard, strange } = await order({ do: "collect" });
  const latencies = heard.flatMap(([address, times]) => times.map((at) => at - (sent.get(address) ?? Number.NaN))).sort((a, b) => a - b);
  say(`${when}: changes heard of, at all who use the service`, latencies.length, "");
  say(`${when}: a change at every interested sidecar, p50`, percentile(latencies, 0.5), "ms", 5);
  say(`${when}: a change at every interested sidecar, p99`, percentile(latencies, 0.99), "ms", 25);
  say(`${when}: updates to sidecars that do not use the service`, strange, "");
  if (strange > 0 || heard.length < total * 0.99) process.exitCode = 1;
}

async function measure(): Promise<void> {
  await start();
  await delay(settleMs);
  say("empty controller, resident", residentMb(), "MB", 100);
  let from = now();
  await each(size.services, (index) => call("POST", "/api/v1/namespaces/default/services", serviceOf(index)));
  say(`${size.services} services applied`, (now() - from) / 1_000, "s");
  from = now();
  await each(size.services, (index) => call("POST", slices, sliceOf(index)));
  say(`${size.services * perService} endpoints applied`, (now() - from) / 1_000, "s", 3);
  from = now();
  await order({ do: "register", state, count: size.proxies, servicesEach: size.uses, services: size.services });
  say(`${size.proxies} workloads registered and certified`, (now() - from) / 1_000, "s");
  from = now();
  const { result: joined, stallMs } = await withStall(() => order({ do: "join" }));
  say(`${size.proxies} sidecars join`, (joined.at - from) / 1_000, "s", 8);
  say("longest time without an answer meanwhile", stallMs, "ms", 100);
  await delay(settleMs);
  say("controller resident", residentMb(), "MB", 450);
  say("processor when nothing changes, no reports", await cpuShare(10_000), "% of a core", 4);
  await changes("no reports", changedBlocks[0]);
  await order({ do: "report", on: true });
  await delay(settleMs);
  say("processor when nothing changes, reports each second", await cpuShare(10_000), "% of a core", 35);
  await changes("reports", changedBlocks[1]);
  await order({ do: "report", on: false });
  if (controller !== undefined) {
    controller.kill("SIGKILL");
    await once(controller, "exit");
  }
  agent.destroy();
  agent = new Agent({ keepAlive: true, maxSockets: parallel });
  await order({ do: "collect" });
  from = now();
  await start();
  const { at, needless } = await order({ do: "await-resumed" });
  say(`restart: ${size.proxies} sidecars resumed`, (at - from) / 1_000, "s", 8);
  say("updates that they held already", needless, "");
  if (needless > 0) process.exitCode = 1;
}

try {
  await measure();
} finally {
  proxies.removeAllListeners("exit");
  proxies.disconnect();
  controller?.kill("SIGKILL");
  rmSync(state, { recursive: true, force: true, maxRetries: 5 });
}

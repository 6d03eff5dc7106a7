// npm run bench: what a request and a connection cost, side by side. README.md says how it is measured.
import { mkdtempSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { find, memoryOf } from "@weft/testkit";
import { instructions } from "./instructions.ts";
import { backend, load, memoryPerConnection, type Round, systemCalls } from "./load.ts";
import { memoryPerTlsConnection } from "./pair.ts";
import { envoy, haproxy, weft } from "./peers.ts";
import type { Cleanup, Subject } from "./subject.ts";

/** Bounds: CPU a request beside each peer's, and kB a connection. */
const CPU_BOUNDS: Record<string, number> = { envoy: 0.5, haproxy: 1.15 };
const CLEAR_KB = 6;
const TLS_KB = 18;
const IDLE_CONNECTIONS = 1000;
const TLS_CONNECTIONS = 500;

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    seconds: { type: "string", default: "5" },
    json: { type: "boolean", default: false },
    instructions: { type: "boolean", default: false },
  },
});
const rounds = Math.min(Number(values.rounds), 50);
const seconds = Math.min(Number(values.seconds), 60);

const missing = ["wrk", "nginx", "taskset"].filter((program) => !find(program));
if (missing.length > 0) {
  console.error(`bench: ${missing.join(", ")} missing; on Debian: apt-get install wrk nginx-light util-linux`);
  process.exit(2);
}
if (cpus().length < 2) {
  console.error("bench: two cores are needed, one for the proxies and one for the load");
  process.exit(2);
}

const median = (numbers: number[]) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN;
const cpuOf = ({ cpuMicros, requests }: Round) => cpuMicros / requests;

const cleanup: Cleanup = [];
const folder = mkdtempSync(join(tmpdir(), "weft-bench-"));
cleanup.push(async () => rmSync(folder, { recursive: true, force: true }));
try {
  if (values.instructions) console.table(await instructions(folder, cleanup));
  else await compare();
} finally {
  for (const end of cleanup.reverse()) await end();
}

/** Measures all side by side. */
async function compare(): Promise<void> {
  const port = await backend(folder, cleanup);
  const proxies: Subject[] = [await weft(port, cleanup)];
  for (const [name, start] of Object.entries({ envoy, haproxy })) {
    const peer = await start(port, folder, cleanup);
    if (peer) proxies.push(peer);
    else console.error(`bench: ${name} is not installed and is left out`);
  }
  const idle = new Map(proxies.map(({ name, pid }) => [name, memoryOf(pid)]));
  const measured = new Map<string, Round[]>(proxies.map(({ name }) => [name, []]));
  for (const proxy of proxies) await load(proxy, 1);
  for (let round = 0; round < rounds; round += 1) {
    const order = [...proxies.slice(round % proxies.length), ...proxies.slice(0, round % proxies.length)];
    for (const proxy of order) measured.get(proxy.name)?.push(await load(proxy, seconds));
    console.error(`bench: round ${round + 1} of ${rounds}`);
  }
  const results = [];
  for (const proxy of proxies) {
    const own = measured.get(proxy.name) ?? [];
    results.push({
      name: proxy.name,
      cpuMicrosPerRequest: median(own.map(cpuOf)),
      requestsPerSecond: median(own.map((round) => round.requests / round.seconds)),
      systemCallsPerRequest: await systemCalls(proxy),
      idleResidentMB: (idle.get(proxy.name)?.resident ?? Number.NaN) / 2 ** 20,
      idleAnonymousMB: (idle.get(proxy.name)?.anonymous ?? Number.NaN) / 2 ** 20,
      kBPerConnection: await memoryPerConnection(proxy, IDLE_CONNECTIONS),
    });
  }
  const [own, ...peers] = results;
  const ratios = peers.map(({ name }) => {
    const pairs = (measured.get("weft") ?? []).map((round, index) => cpuOf(round) / cpuOf(measured.get(name)?.[index] ?? round));
    return { peer: name, cpuRatio: median(pairs) };
  });
  const tls = await memoryPerTlsConnection(TLS_CONNECTIONS);
  const judged = [
    ...ratios.map(({ peer, cpuRatio }) => ({ what: `CPU a request, weft / ${peer}`, value: cpuRatio, bound: CPU_BOUNDS[peer] ?? 1 })),
    { what: "kB a clear connection", value: own?.kBPerConnection ?? Number.NaN, bound: CLEAR_KB },
    { what: "kB a connection over mutual TLS, the caller's sidecar", value: tls.caller, bound: TLS_KB },
    { what: "kB a connection over mutual TLS, the called sidecar", value: tls.called, bound: TLS_KB },
  ];
  if (values.json) console.log(JSON.stringify({ rounds, seconds, results, ratios, tls }, null, 2));
  else {
    console.table(
      results.map((row) =>
        Object.fromEntries(
          Object.entries(row).map(([key, value]) => [key, typeof value === "number" ? Number(value.toPrecision(4)) : value]),
        ),
      ),
    );
    for (const { what, value, bound } of judged) console.log(`${what}: ${value.toFixed(3)} (bound ${bound})`);
  }
  for (const { what, value, bound } of judged) {
    if (value <= bound) continue;
    console.error(`bench: ${what} is ${value.toFixed(2)}; the bound is ${bound}`);
    process.exitCode = 1;
  }
}

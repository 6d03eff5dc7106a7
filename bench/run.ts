// npm run bench: what a request and a connection cost, side by side. README.md says how it is measured.
import { mkdtempSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { find, memoryOf } from "@weft/testkit";
import { backend, load, memoryPerConnection, type Round, systemCalls } from "./load.ts";
import { envoy, haproxy, weft } from "./peers.ts";
import type { Cleanup, Subject } from "./subject.ts";

/** The bound: CPU a request at most this share of Envoy's. */
const ENVOY_SHARE = 0.7;
const IDLE_CONNECTIONS = 1000;

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    seconds: { type: "string", default: "5" },
    json: { type: "boolean", default: false },
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
  if (values.json) console.log(JSON.stringify({ rounds, seconds, results, ratios }, null, 2));
  else {
    console.table(
      results.map((row) =>
        Object.fromEntries(
          Object.entries(row).map(([key, value]) => [key, typeof value === "number" ? Number(value.toPrecision(4)) : value]),
        ),
      ),
    );
    for (const { peer, cpuRatio } of ratios) console.log(`CPU a request, weft / ${peer}: ${cpuRatio.toFixed(3)}`);
  }
  const envoyRatio = ratios.find(({ peer }) => peer === "envoy")?.cpuRatio;
  if (own && envoyRatio !== undefined && envoyRatio > ENVOY_SHARE) {
    console.error(`bench: a request costs ${envoyRatio.toFixed(2)} of Envoy's CPU; the bound is ${ENVOY_SHARE}`);
    process.exitCode = 1;
  }
} finally {
  for (const end of cleanup.reverse()) await end();
}

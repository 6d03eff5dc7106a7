import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Mesh, metricsOf, need, total, until } from "@weft/testkit";

// Every request is counted, once, by both sidecars and by the controller.

const requests = 100_000;

let mesh: Mesh;
before(async () => {
  mesh = await Mesh.start();
});
after(() => mesh[Symbol.asyncDispose]());

/** An nginx that answers /ok, /moved, /missing and /broken by their status class, in HTTP/1.1 and, on the next port, in HTTP/2 without TLS. */
function nginxConfig(folder: string, port: number): string {
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((kind) => `${kind}_temp_path ${folder}/${kind};`).join(" ");
  const answers = { ok: "200 fine", moved: "302 /ok", missing: "404 gone", broken: "503 broken" };
  const locations = Object.entries(answers).map(([path, answer]) => `location /${path} { return ${answer}; }`);
  return `daemon off; worker_processes 1; pid ${folder}/nginx-${port}.pid; error_log stderr; events { worker_connections 4096; }
    http { access_log off; ${temporary} keepalive_requests 10000000;
      server { listen ${port}; listen ${port + 1} http2; ${locations.join(" ")} } }`;
}

interface Generated {
  total: number;
  /** Answers by status class. */
  classes: Record<"2" | "3" | "4" | "5", number>;
  /** Latencies, microseconds, ascending. */
  latencies: number[];
}

/** What h2load says that it did. */
function readH2load(output: string, log: string): Generated {
  const done = /(\d+) total, \d+ started, (\d+) done, .*?(\d+) errored, (\d+) timeout/.exec(output);
  const codes = /status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx/.exec(output);
  assert.ok(done && codes, output);
  assert.deepEqual(done.slice(2).map(Number), [requests, 0, 0], output);
  const [two = 0, three = 0, four = 0, five = 0] = codes.slice(1).map(Number);
  const times = log
    .trim()
    .split("\n")
    .map((line) => Number(line.split("\t")[2]));
  return { total: Number(done[1]), classes: { "2": two, "3": three, "4": four, "5": five }, latencies: times.sort((a, b) => a - b) };
}

for (const { name, protocol, flags, offset } of [
  { name: "one", protocol: "HTTP/1.1", flags: ["--h1"], offset: 0 },
  { name: "two", protocol: "HTTP/2", flags: ["-m", "10"], offset: 1 },
]) {
  test(`${requests} requests over ${protocol} are counted to the last one`, { timeout: 300_000 }, async (t) => {
    const parts = need(t, "nginx", "h2load");
    if (!parts) return;
    const port = 8100 + 10 * offset;
    const config = join(mesh.folder, `${name}.conf`);
    writeFileSync(config, nginxConfig(mesh.folder, port));
    const command = [parts.nginx, "-p", mesh.folder, "-e", "stderr", "-c", config];
    const target = await mesh.run(name, command, { options: ["--port", `80:${port + offset}`, "--no-publish"] });
    const targetAdmin = await target.admin();

    const log = join(mesh.folder, `${name}.log`);
    const urls = ["ok", "ok", "ok", "moved", "missing", "broken"].map((path) => `http://${name}/${path}`);
    const h2load = [parts.h2load, "-n", String(requests), "-c", "20", ...flags, `--log-file=${log}`, ...urls].join(" ");
    // It stays when the load is done, so that its sidecar can be asked.
    const load = await mesh.run(`load-${name}`, ["sh", "-c", `${h2load}; echo finished; exec sleep 600`], { endpoints: 0 });
    await until("h2load is done", () => load.running.isOver || load.running.stdout.includes("finished\n"), { timeoutMs: 240_000 });
    assert.ok(!load.running.isOver, load.running.describe());
    const generated = readH2load(load.running.stdout, readFileSync(log, "utf8"));
    assert.equal(generated.total, requests);

    await t.test("the called's sidecar, the caller's and weft stat agree with the generator, by status class", async () => {
      const classesOf = (statusClass: string, samples: Awaited<ReturnType<typeof metricsOf>>, direction: string) =>
        total(samples, "weft_requests_total", { direction, status_class: statusClass });
      const [inbound, outbound] = [await metricsOf(targetAdmin), await metricsOf(await load.admin())];
      const called = await mesh.row(name, "inbound", ({ totals }) => totals.requests >= requests);
      const caller = await mesh.row(`load-${name}`, "outbound", ({ totals }) => totals.requests >= requests);
      for (const [statusClass, count] of Object.entries(generated.classes) as ["2" | "3" | "4" | "5", number][]) {
        assert.equal(classesOf(statusClass, inbound, "inbound"), count, `${statusClass}xx in the called's metrics`);
        assert.equal(classesOf(statusClass, outbound, "outbound"), count, `${statusClass}xx in the caller's metrics`);
        assert.equal(called.totals.statusClasses[statusClass], count, `${statusClass}xx in weft stat, called`);
        assert.equal(caller.totals.statusClasses[statusClass], count, `${statusClass}xx in weft stat, caller`);
      }
      assert.equal(called.totals.requests, requests);
      assert.equal(caller.totals.requests, requests);
    });

    // That histograms are exact is shown beside their code, by every value; here, that what is counted here is what is shown there.
    await t.test("percentiles of weft stat are in those buckets of the sidecar's metrics in which so many requests are", async () => {
      const rows = await mesh.stat(300);
      const of = (service: string, direction: string) => rows.find((row) => row.service === service && row.direction === direction);
      const buckets = new Map<number, number>();
      for (const { name: metric, labels, value } of await metricsOf(targetAdmin))
        if (metric === "weft_request_duration_seconds_bucket" && labels.direction === "inbound") {
          const bound = labels.le === "+Inf" ? Number.POSITIVE_INFINITY : Number(labels.le) * 1000;
          buckets.set(bound, (buckets.get(bound) ?? 0) + value);
        }
      const bounds = [...buckets].sort(([a], [b]) => a - b);
      assert.equal(bounds.at(-1)?.[1], requests);
      for (const [key, share] of [
        ["p50", 0.5],
        ["p95", 0.95],
        ["p99", 0.99],
      ] as const) {
        const shown = of(name, "inbound")?.latencyMs[key] ?? Number.NaN;
        const index = bounds.findIndex(([, count]) => count >= share * requests);
        const [from, to] = [bounds[index - 1]?.[0] ?? 0, bounds[index]?.[0] ?? Number.NaN];
        const byGenerator = generated.latencies[Math.ceil(share * requests) - 1] ?? Number.NaN;
        const caller = of(`load-${name}`, "outbound")?.latencyMs[key];
        t.diagnostic(`${protocol} ${key}: called ${shown} ms (of ${from} to ${to}), caller ${caller} ms, h2load ${byGenerator / 1000} ms`);
        assert.ok(0.98 * from <= shown && shown <= 1.02 * to, `${key}: ${shown} ms shown, ${from} to ${to} ms counted`);
      }
    });
  });
}

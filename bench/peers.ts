// The proxies that are compared, each started in front of the same server and pinned to core 0.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { find, freePort, Mesh, Running, until } from "@weft/testkit";
import { answers } from "./load.ts";
import type { Cleanup, Subject } from "./subject.ts";

const pinned = (command: string[]) => ["taskset", "-c", "0", ...command];

/** Weft's sidecar, as the explicit upstream of a program: in clear to an endpoint without a sidecar, which is one hop. */
export async function weft(backend: number, cleanup: Cleanup): Promise<Subject> {
  const mesh = await Mesh.start();
  cleanup.push(() => mesh[Symbol.asyncDispose]());
  await mesh.api.registerEndpoint({
    service: "backend",
    address: "127.0.0.1",
    ports: [{ servicePort: 80, targetPort: backend, protocol: "http1" }],
  });
  const print = "console.log(process.env.WEFT_UPSTREAM_BACKEND); setInterval(() => {}, 60000)";
  const member = await mesh.run("load", [process.execPath, "-e", print], {
    options: ["--redirect", "proxy", "--upstream", "backend:80"],
    endpoints: 0,
  });
  const address = await until("the address of the upstream", () => /127\.0\.0\.1:\d+/.exec(member.running.stdout)?.[0]);
  const pid = await member.sidecar();
  await new Running("taskset", ["-a", "-cp", "0", String(pid)]).ended;
  return ready({ name: "weft", pid, url: `http://${address}/` });
}

/** Envoy with its default statistics, access log off, one worker. */
export async function envoy(backend: number, folder: string, cleanup: Cleanup): Promise<Subject | undefined> {
  const program = process.env.WEFT_BENCH_ENVOY ? join(process.env.WEFT_BENCH_ENVOY, "envoy") : find("envoy");
  if (!program) return undefined;
  const port = await freePort();
  const config = join(folder, "envoy.json");
  const typed = (type: string, fields: object) => ({ "@type": `type.googleapis.com/envoy.extensions.filters.${type}`, ...fields });
  const manager = typed("network.http_connection_manager.v3.HttpConnectionManager", {
    stat_prefix: "bench",
    http_filters: [{ name: "envoy.filters.http.router", typed_config: typed("http.router.v3.Router", {}) }],
    route_config: { virtual_hosts: [{ name: "all", domains: ["*"], routes: [{ match: { prefix: "/" }, route: { cluster: "backend" } }] }] },
  });
  const at = (portValue: number) => ({ socket_address: { address: "127.0.0.1", port_value: portValue } });
  const endpoints = [{ lb_endpoints: [{ endpoint: { address: at(backend) } }] }];
  writeFileSync(
    config,
    JSON.stringify({
      static_resources: {
        listeners: [{ address: at(port), filter_chains: [{ filters: [{ name: "http", typed_config: manager }] }] }],
        clusters: [{ name: "backend", type: "STATIC", connect_timeout: "1s", load_assignment: { cluster_name: "backend", endpoints } }],
      },
    }),
  );
  const [command = "", ...rest] = pinned([program, "-c", config, "--concurrency", "1", "-l", "error", "--disable-hot-restart"]);
  const running = new Running(command, rest);
  cleanup.push(() => running.stop());
  return ready({ name: "envoy", pid: running.pid, url: `http://127.0.0.1:${port}/` });
}

/** HAProxy with one thread. */
export async function haproxy(backend: number, folder: string, cleanup: Cleanup): Promise<Subject | undefined> {
  const program = find("haproxy");
  if (!program) return undefined;
  const port = await freePort();
  const config = join(folder, "haproxy.cfg");
  writeFileSync(
    config,
    `global
  nbthread 1
  maxconn 4000
defaults
  mode http
  timeout connect 1s
  timeout client 60s
  timeout server 60s
  http-reuse always
frontend in
  bind 127.0.0.1:${port}
  default_backend out
backend out
  server nginx 127.0.0.1:${backend}
`,
  );
  const [command = "", ...rest] = pinned([program, "-db", "-f", config]);
  const running = new Running(command, rest);
  cleanup.push(() => running.stop());
  return ready({ name: "haproxy", pid: running.pid, url: `http://127.0.0.1:${port}/` });
}

async function ready(proxy: Subject): Promise<Subject> {
  await until(`${proxy.name} answers on ${proxy.url}`, () => answers(proxy.url), { timeoutMs: 20_000 });
  return proxy;
}

// The server and the load, on core 1, and what a process consumed meanwhile.
import { readFileSync, writeFileSync } from "node:fs";
import { get } from "node:http";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { find, freePort, memoryOf, Running, succeed, until } from "@weft/testkit";
import type { Cleanup, Subject } from "./subject.ts";

/** One round's figures. */
export interface Round {
  requests: number;
  seconds: number;
  cpuMicros: number;
}

/** nginx that answers two bytes. */
export async function backend(folder: string, cleanup: Cleanup, protocol: "http1" | "http2" = "http1"): Promise<number> {
  const port = await freePort();
  const config = join(folder, `nginx-${protocol}.conf`);
  const paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((kind) => `${kind}_temp_path ${folder}/${kind};`).join(" ");
  writeFileSync(
    config,
    `daemon off; worker_processes 1; pid ${folder}/nginx-${protocol}.pid; error_log ${folder}/nginx-${protocol}.log;
events { worker_connections 8192; }
http { access_log off; keepalive_requests 1000000000; keepalive_timeout 600s; ${paths}
  server { listen 127.0.0.1:${port} backlog=4096${protocol === "http2" ? " http2" : ""}; location / { return 200 "ok"; } } }
`,
  );
  const running = new Running("taskset", ["-c", "1", find("nginx") ?? "nginx", "-c", config]);
  cleanup.push(() => running.stop());
  if (protocol === "http1") await until("nginx answers", () => answers(`http://127.0.0.1:${port}/`));
  return port;
}

/** Whether the URL answers 200 now. */
export function answers(url: string): Promise<boolean> {
  return new Promise((resolve) => {
    const request = get(url, { agent: false, timeout: 1000 }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    request.on("error", () => resolve(false)).on("timeout", () => request.destroy());
  });
}

/** Loads a proxy for some seconds over a number of connections. */
export async function load({ pid, url }: Subject, seconds: number, connections = 64): Promise<Round> {
  const before = cpuMicros(pid);
  const stdout = await succeed("taskset", ["-c", "1", "wrk", "-t1", `-c${connections}`, `-d${seconds}s`, url], {
    timeoutMs: (seconds + 10) * 1000,
  });
  const consumed = cpuMicros(pid) - before;
  const counted = /(\d+) requests in ([\d.]+)s/.exec(stdout);
  if (!counted || /Non-2xx|Socket errors/.test(stdout)) throw new Error(`wrk against ${url} had errors:\n${stdout}`);
  return { requests: Number(counted[1]), seconds: Number(counted[2]), cpuMicros: consumed };
}

/** User and system time of a process since its start. */
function cpuMicros(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10_000;
}

/** System calls a request, by strace; undefined where it is not installed. */
export async function systemCalls(proxy: Subject): Promise<number | undefined> {
  if (!find("strace")) return undefined;
  const tracer = new Running("strace", ["-c", "-f", "-p", String(proxy.pid)]);
  await until("strace is attached", () => tracer.stderr.includes("attached"));
  const { requests } = await load(proxy, 2);
  process.kill(tracer.pid, "SIGINT");
  const { stderr } = await tracer.ended;
  const total = /^\s*100\.00\s+\S+\s+(?:\S+\s+)?(\d+)\s+(?:\d+\s+)?total$/m.exec(stderr);
  return total ? Number(total[1]) / requests : undefined;
}

/** kB that an idle connection costs, after one request on each of `count`. */
export async function memoryPerConnection({ pid, url }: Subject, count: number): Promise<number> {
  const before = memoryOf(pid).resident;
  const { hostname, port, host } = new URL(url);
  const opened: Socket[] = [];
  for (let index = 0; index < count; index += 1) {
    opened.push(await answered(connect(Number(port), hostname), `GET / HTTP/1.1\r\nhost: ${host}\r\n\r\n`));
  }
  const after = memoryOf(pid).resident;
  for (const socket of opened) socket.destroy();
  return (after - before) / 1024 / count;
}

function answered(socket: Socket, request: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    socket.once("data", () => resolve(socket)).once("error", reject);
    socket.write(request);
  });
}

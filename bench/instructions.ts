// Instructions a request that carrying alone takes, counted by callgrind: they repeat exactly where times do not.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { find, freePort, Running, root, succeed, until } from "@weft/testkit";
import { answers, backend } from "./load.ts";
import type { Cleanup } from "./subject.ts";

/** What is counted: a protocol, and how many requests are under way at a time on the one connection. */
const cases = [
  { protocol: "http1", atATime: 1 },
  { protocol: "http2", atATime: 1 },
  { protocol: "http2", atATime: 32 },
] as const;
/** What a connection costs drops out of the difference between a short run and a long one. */
const [short, long] = [1000, 3000];

/** Counts them, one case after the other. */
export async function instructions(folder: string, cleanup: Cleanup): Promise<{ protocol: string; atATime: number; perRequest: number }[]> {
  const missing = ["valgrind", "h2load", "nginx"].filter((program) => !find(program));
  if (missing.length > 0) throw new Error(`${missing.join(", ")} missing; on Debian: apt-get install valgrind nghttp2-client nginx-light`);
  const { status } = spawnSync("cargo", ["build", "--release", "--locked", "--quiet", "--example", "relay"], {
    cwd: root,
    stdio: "inherit",
  });
  if (status !== 0) throw new Error("cargo build --release --example relay failed");
  const servers = { http1: await backend(folder, cleanup), http2: await backend(folder, cleanup, "http2") };
  const results = [];
  for (const { protocol, atATime } of cases) {
    const count = (requests: number) => counted(protocol, servers[protocol], requests, atATime);
    results.push({ protocol, atATime, perRequest: Math.round(((await count(long)) - (await count(short))) / (long - short)) });
  }
  return results;
}

/** Instructions of a whole run of the relay. */
async function counted(protocol: "http1" | "http2", server: number, requests: number, atATime: number): Promise<number> {
  const address = `127.0.0.1:${await freePort()}`;
  const relay = join(root, "target", "release", "examples", "relay");
  const options = ["--tool=callgrind", "--callgrind-out-file=/dev/null", relay, protocol, address, `127.0.0.1:${server}`];
  const running = new Running("valgrind", options);
  try {
    const url = `http://${address}/`;
    const ready = () =>
      protocol === "http1" ? answers(url) : succeed("h2load", ["-n1", "-c1", url]).then((said) => said.includes("1 2xx"));
    await until(`the relay answers on ${url}`, ready, { timeoutMs: 30_000 });
    const version = protocol === "http1" ? ["--h1"] : [];
    const said = await succeed("h2load", [...version, `-n${requests}`, "-c1", `-m${atATime}`, url], { timeoutMs: 300_000 });
    if (!said.includes(`${requests} 2xx`)) throw new Error(`h2load had errors:\n${said}`);
  } finally {
    await running.stop();
  }
  const total = /Collected : (\d+)/.exec(running.stderr)?.[1];
  if (!total) throw new Error(`callgrind counted nothing:\n${running.stderr}`);
  return Number(total);
}

import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { after, before, test } from "node:test";
import { freePort, type Member, Mesh, until } from "@weft/testkit";
import { fixture } from "./fixtures.ts";

// No path leads a sidecar to itself: a port scan, or a server that is made to fetch a forged address, would end it.

let mesh: Mesh;
before(async () => {
  mesh = await Mesh.start();
});
after(() => mesh[Symbol.asyncDispose]());

/** Descriptors of a member's sidecar. Each round of a loop takes two. */
const descriptorsOf = async (member: Member) => readdirSync(`/proc/${await member.sidecar()}/fd`).length;

async function told(url: string, lines: string[]): Promise<{ answers: string[]; proxy: string }> {
  const answer = await fetch(url, { method: "POST", body: lines.join("\n"), signal: AbortSignal.timeout(60_000) });
  assert.equal(answer.status, 200);
  return (await answer.json()) as { answers: string[]; proxy: string };
}

/** Checks that a member's sidecar goes on as if nothing had happened, and says what did. */
async function unharmed(member: Member, before: number, url: string): Promise<void> {
  await until("its descriptors are as few as before", async () => (await descriptorsOf(member)) <= before + 8, {
    diagnose: async () => `${await descriptorsOf(member)} of ${before}`,
  });
  await told(url, []);
  const { stdout } = await mesh.weft(["logs", member.name]);
  assert.match(stdout, /WEFT-P-LOOP/);
}

test("a program that dials its sidecar's own listeners is refused, by whatever address", { timeout: 120_000 }, async () => {
  const [port, inside] = [await freePort(), await freePort()];
  const scan = await mesh.run("scan", fixture("dial", inside), { options: ["--port", `${port}:${inside}`] });
  const { address, sidecar } = await until("it is published", async () => {
    const workload = await scan.workload();
    return workload.published.includes(port) && workload;
  });
  const url = `http://127.0.0.1:${port}/dial`;
  await told(url, []);
  const earlier = await descriptorsOf(scan);
  const portOf = (listener = "") => listener.split(":").at(-1) ?? "";
  const redirected = [65001, 65053].flatMap((own) =>
    ["127.0.0.1", "127.0.0.2", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1", "::ffff:0.0.0.0", address].map((host) => `${host} ${own}`),
  );
  const onHost = [portOf(sidecar?.inbound), portOf(sidecar?.admin)].flatMap((own) =>
    ["127.0.0.1", "0.0.0.0", "::ffff:127.0.0.1", "localhost"].map((host) => `${host} ${own}`),
  );
  const { answers } = await told(url, [...redirected, ...onHost]);
  assert.equal(answers.length, redirected.length + onHost.length);
  for (const answer of answers) assert.match(answer, /: (ECONNRESET|closed)$/);
  // Its own service is no loop: by its name, its address and its published port it is called once.
  const again = await told(url, [`scan ${port}`, `127.0.0.1 ${port}`, `0.0.0.0 ${port}`]);
  for (const answer of again.answers) assert.match(answer, /: HTTP\/1.1 200 OK$/);
  await unharmed(scan, earlier, url);
});

test("an HTTP proxy that is asked for itself refuses, by whatever name", { timeout: 120_000 }, async () => {
  const inside = await freePort();
  const scan = await mesh.run("proxied", fixture("dial", inside), { options: ["--port", String(inside), "--redirect", "proxy"] });
  const url = `http://127.0.0.1:${inside}/proxy`;
  const { proxy } = await told(url, []);
  const { sidecar } = await scan.workload();
  const earlier = await descriptorsOf(scan);
  const own = [new URL(proxy).port, ...[sidecar?.inbound, sidecar?.admin].map((listener) => listener?.split(":").at(-1))];
  const hosts = ["127.0.0.1", "0.0.0.0", "localhost", "[::ffff:127.0.0.1]"];
  const { answers } = await told(
    url,
    own.flatMap((port) => hosts.map((host) => `http://${host}:${port}/`)),
  );
  assert.equal(answers.length, own.length * hosts.length);
  for (const answer of answers) assert.match(answer, /: 508 WEFT-P-LOOP$/);
  await unharmed(scan, earlier, url);
});

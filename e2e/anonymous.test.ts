import assert from "node:assert/strict";
import { request } from "node:http";
import { connect } from "node:net";
import { after, before, test } from "node:test";
import type { Edge, TapRequest } from "@weft/api";
import { freePort, type Member, Mesh, metricsOf, total, until } from "@weft/testkit";
import { fixture } from "./fixtures.ts";

// Whoever dials a published port is nobody in the mesh: a browser, another user, anything. No identity is lent to it.

let mesh: Mesh;
let users: Member;
let port: number;
let bytesPort: number;
before(async () => {
  mesh = await Mesh.start();
  [port, bytesPort] = [await freePort(), await freePort()];
  users = await mesh.run("users", fixture("caller", port, "users"), { options: ["--port", String(port)] });
  const server = `require("net").createServer((s) => s.on("error", () => {}).pipe(s)).listen(${bytesPort}, "0.0.0.0")`;
  await mesh.run("bytes", [process.execPath, "-e", server], { options: ["--port", String(bytesPort)] });
  await until("users is published", async () => (await users.workload()).published.includes(port));
});
after(() => mesh[Symbol.asyncDispose]());

const identity = (service: string) => `spiffe://weft.local/ns/default/sa/${service}`;
const edges = async (): Promise<Edge[]> => JSON.parse((await mesh.weft(["edges", "-o", "json"])).stdout);

interface Seen {
  id: string | null;
  peer: string;
}

/** What the program answers to a call of its published port. */
function published(path: string, headers: Record<string, string> = {}): Promise<Seen> {
  return new Promise((resolve, reject) => {
    const call = request({ host: "127.0.0.1", port, path, headers, timeout: 10_000 }, (response) => {
      let text = "";
      response.on("data", (data) => (text += data));
      response.on("end", () => resolve(JSON.parse(text)));
    });
    call
      .on("error", reject)
      .on("timeout", () => call.destroy(new Error("no answer within 10 s")))
      .end();
  });
}

const nobody: Seen & { name: string } = { name: "users", id: null, peer: "127.0.0.1" };

test("a call of a published port comes from loopback and has no identity, whatever it says", { timeout: 30_000 }, async () => {
  assert.deepEqual(await published("/"), nobody);
  assert.deepEqual(await published("/", { "weft-client-id": identity("admin"), "Weft-Client-Id": identity("root") }), nobody);
});

test("it never shares a connection with a call of the program's own, which has its identity", { timeout: 60_000 }, async () => {
  for (let round = 0; round < 5; round++) {
    assert.deepEqual(await published("/"), nobody);
    const own = await published("/self");
    assert.equal(own.id, identity("users"));
    assert.match(own.peer, /^198\.19\./);
  }
});

test("it is shown as anonymous, and not as one of the service to itself", { timeout: 60_000 }, async () => {
  await new Promise<void>((resolve, reject) => {
    const socket = connect(bytesPort, "127.0.0.1", () => socket.write("\0ping"));
    socket.once("data", () => socket.end(resolve)).on("error", reject);
  });
  const byName = await until("both anonymous edges", async () => {
    const found = await edges();
    const isSeen = (to: string) => found.some((edge) => edge.from === "anonymous" && edge.to === to && edge.totals.connections.opened > 0);
    return isSeen("users.default") && isSeen("bytes.default") && found;
  });
  for (const { from, fromIdentity, to, secured } of byName.filter((edge) => edge.from === "anonymous"))
    assert.deepEqual([fromIdentity, secured], ["", true], `${from} -> ${to}`);
  const own = byName.filter(({ from }) => from === "users.default" || from === "bytes.default");
  assert.ok(
    own.every(({ from, to, totals }) => from === "users.default" && to === "users.default" && totals.requests <= 5),
    JSON.stringify(own),
  );
  const { stdout } = await mesh.weft(["edges"]);
  assert.match(stdout, /^anonymous +users:/m);

  const callers = (await mesh.stat()).filter(({ direction }) => direction === "outbound").map(({ service }) => service);
  assert.ok(callers.includes("anonymous"), callers.join());
  const samples = await metricsOf(await users.admin());
  assert.ok(total(samples, "weft_requests_total", { direction: "inbound", peer: "anonymous", identity: "" }) >= 7);
  assert.ok(total(samples, "weft_requests_total", { direction: "outbound", caller: "anonymous", peer: "users.default" }) >= 7);
});

test("weft tap shows it once, as anonymous, and weft why explains it", { timeout: 60_000 }, async () => {
  const tapped = mesh.weft(["tap", "-o", "json", "--path", "/tapped", "--count", "1", "--duration", "30s"]);
  const calling = new AbortController();
  const calls = until("the tap ends", async () => {
    await published("/tapped");
    return calling.signal.aborted;
  });
  const { stdout, stderr } = await tapped;
  calling.abort();
  await calls;
  const shown = stdout
    .split("\n")
    .filter(Boolean)
    .map((line): TapRequest => JSON.parse(line))
    .find(({ kind }) => kind === "request");
  assert.deepEqual([shown?.from, shown?.fromIdentity, shown?.to, shown?.tls], ["anonymous", "", "users.default", true], stderr);
  const why = await mesh.weft(["why", "anonymous", "users"]);
  assert.equal(why.code, 0, why.stdout);
  assert.match(why.stdout, /^Calls from anonymous to users work/);
  assert.match(why.stdout, /at a published port/);
});

test("a program of the mesh that calls a published port on this machine's loopback calls as itself", { timeout: 60_000 }, async () => {
  const local = `http://127.0.0.1:${port}/`;
  const { stdout, stderr } = await mesh.call("web", fixture("fetch", local, `http://localhost:${port}/`));
  const answers = stdout
    .trim()
    .split("\n")
    .map((line): Seen => JSON.parse(line.slice(4)));
  assert.deepEqual(
    answers.map(({ id }) => id),
    [identity("web"), identity("web")],
    stderr,
  );
  assert.ok(
    answers.every(({ peer }) => peer.startsWith("198.19.")),
    stdout,
  );
  await until("the edge", async () => (await edges()).find(({ from, to }) => from === "web.default" && to === "users.default"));
  const proxied = await mesh.weft(["run", "proxied", "--redirect", "proxy", "--", ...ask(local)]);
  assert.equal(JSON.parse(proxied.stdout).id, identity("proxied"), proxied.stderr);
  const other = await freePort();
  const shifted = await mesh.run("shifted", fixture("caller", other, "shifted"), { options: ["--port", `${await freePort()}:${other}`] });
  const [own] = (await until("it is published", async () => (await shifted.workload()).published.length > 0 && shifted.workload()))
    .published;
  const answer = await fetch(`http://127.0.0.1:${own}/ask?${encodeURIComponent(`http://127.0.0.1:${own}/`)}`);
  assert.equal((await answer.json()).id, identity("shifted"), "its own published port, too");
});

/** A program that sends a request for `url` to its proxy, whatever it is. */
function ask(url: string): string[] {
  const program = `
    const proxy = new URL(process.env.HTTP_PROXY);
    require("http").get({ host: proxy.hostname, port: proxy.port, path: ${JSON.stringify(url)}, headers: { host: new URL(${JSON.stringify(url)}).host } },
      (answer) => answer.pipe(process.stdout));`;
  return [process.execPath, "-e", program];
}

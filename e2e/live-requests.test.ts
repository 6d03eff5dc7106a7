import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { statePaths, type TapLine, type TapQuery, type TapRequest } from "@weft/api";
import { type Member, Mesh, metricsOf, need, total, until } from "@weft/testkit";
import { fixture } from "./fixtures.ts";

// What sidecars show of live requests, and what they say that they hold.

let mesh: Mesh;
before(async () => {
  mesh = await Mesh.start();
  await mesh.run("users", fixture("echo", 8080), { options: ["--port", "80:8080", "--no-publish"] });
});
after(() => mesh[Symbol.asyncDispose]());

/** Watches until the test ends; resolves when at least one sidecar is watched. */
async function watch(t: { after(end: () => void): void }, query: TapQuery) {
  const aborted = new AbortController();
  t.after(() => aborted.abort());
  const lines: TapLine[] = [];
  const reading = async () => {
    for await (const line of mesh.api.tap(query, aborted.signal)) lines.push(line);
  };
  void reading().catch((error) => aborted.signal.aborted || lines.push(error));
  const requests = (side: TapRequest["side"]) => lines.filter((line) => line.kind === "request").filter((line) => line.side === side);
  const diagnose = () => JSON.stringify(lines.slice(-5), null, 1);
  await until("a sidecar is watched", () => lines.some((line) => line.kind === "watching" && line.sidecars > 0), { diagnose });
  return {
    lines,
    requests,
    take: (count: number, side: TapRequest["side"]) =>
      until(`${count} requests`, () => requests(side).length >= count && requests(side).slice(0, count), { diagnose }),
  };
}

/** A caller that does what it has to do only when it is told, and stays. */
async function caller(name: string, commands: string): Promise<Member & { go(): void }> {
  const file = join(mesh.folder, `go-${name}`);
  const script = `until [ -e ${file} ]; do sleep 0.05; done; ${commands}; echo finished; exec sleep 600`;
  const member = await mesh.run(name, ["sh", "-c", script], { endpoints: 0 });
  await until(`the sidecar of ${name}`, async () => (await member.workload()).state === "live");
  return { ...member, go: () => writeFileSync(file, "") };
}

test("both sidecars show a request with its ends, timing, sizes and fields, and without its secrets", { timeout: 60_000 }, async (t) => {
  const parts = need(t, "curl");
  if (!parts) return;
  const secret = `s3cr3t${randomBytes(8).toString("hex")}`;
  const headers = [`Authorization: Bearer ${secret}`, `X-Api-Key: ${secret}`, `Cookie: session=${secret}`, "X-Tenant: blue"];
  const flags = headers.map((header) => `-H '${header}'`).join(" ");
  const { go } = await caller(
    "web",
    `${parts.curl} -s ${flags} -d hello 'http://users/slow/30/?access_token=${secret}&a=b'; ${parts.curl} -s http://users/status/404`,
  );
  const watching = await watch(t, { service: "web.default", fields: true });
  const called = await watch(t, { service: "users.default", from: "web.default", header: ["x-tenant=blue"] });
  go();
  const [slow, missing] = await watching.take(2, "caller");
  assert.ok(slow && missing);
  const id = "spiffe://weft.local/ns/default/sa/";
  assert.deepEqual([slow.from, slow.fromIdentity, slow.to, slow.toIdentity], ["web.default", `${id}web`, "users.default", `${id}users`]);
  assert.deepEqual([slow.method, slow.path, slow.status], ["POST", "/slow/30/?access_token=(redacted)&a=b", 200]);
  assert.deepEqual([slow.authority, slow.port, slow.protocol, slow.tls], ["users", 80, "http1", true]);
  assert.deepEqual([slow.attempts, slow.error, slow.requestBytes], [1, "", 5]);
  assert.equal(slow.endpoint, (await mesh.api.workloads()).find(({ service }) => service === "users")?.id);
  assert.ok(Math.abs(Date.parse(slow.time) - Date.now()) < 60_000);
  assert.ok((slow.headLatencyMs ?? 0) >= 29 && slow.latencyMs >= (slow.headLatencyMs ?? 0));
  const fields = new Map(slow.requestFields?.map(({ name, value }) => [name, value]));
  assert.deepEqual(
    ["authorization", "x-api-key", "cookie", "x-tenant"].map((name) => fields.get(name)),
    ["(redacted)", "(redacted)", "(redacted)", "blue"],
  );
  assert.ok(slow.responseFields?.some(({ name }) => name === "date"));
  assert.deepEqual([missing.method, missing.path, missing.status], ["GET", "/status/404", 404]);

  const [seen] = await called.take(1, "called");
  assert.deepEqual([seen?.from, seen?.to, seen?.path], ["web.default", "users.default", slow.path]);
  assert.equal(seen?.requestFields, undefined);
  assert.ok(!JSON.stringify([...watching.lines, ...called.lines]).includes(secret));
  const open = await watch(t, { service: "users.default", fields: true, secrets: true });
  await mesh.call("asker", [parts.curl, "-s", "-H", `X-Api-Key: ${secret}`, "http://users/"]);
  const [told] = await open.take(1, "called");
  assert.ok(told?.requestFields?.some(({ name, value }) => name === "x-api-key" && value === secret));
});

test("gRPC calls are shown with their gRPC status", { timeout: 60_000 }, async (t) => {
  await mesh.run("grpc", fixture("grpc", "serve", 9000), { options: ["--port", "80:9000", "--no-publish"] });
  const watching = await watch(t, { service: "grpc.default" });
  const called = await mesh.call("grpc-caller", fixture("grpc", "call", "grpc:80"));
  assert.equal(called.code, 0, called.stderr);
  const find = (path: string) => watching.requests("called").find((request) => request.path === path);
  const failed = await until("the failed call", () => find("/test.Echo/Fail"));
  assert.deepEqual([failed.protocol, failed.method, failed.status, failed.grpcStatus], ["http2", "POST", 200, 5]);
  const said = await until("the good call", () => find("/test.Echo/Say"));
  assert.deepEqual([said.grpcStatus, said.from, said.tls], [0, "grpc-caller.default", true]);
});

test("a connection of another protocol is shown when it closes", { timeout: 60_000 }, async (t) => {
  const echo = `require("node:net").createServer((s) => { s.write("hello\\n"); s.on("data", (d) => s.end(d)); s.on("error", () => {}); }).listen(7000)`;
  await mesh.run("bytes", [process.execPath, "-e", echo], { options: ["--port", "7000", "--no-publish"] });
  const watching = await watch(t, { service: "bytes.default" });
  const client = `const s = require("node:net").connect(7000, "bytes"); s.once("data", () => s.write("0123456789")); s.on("close", () => process.exit(0))`;
  assert.equal((await mesh.call("talker", [process.execPath, "-e", client])).code, 0);
  const [closed] = await watching.take(1, "called");
  assert.deepEqual([closed?.method, closed?.protocol, closed?.status, closed?.from], ["", "tcp", null, "talker.default"]);
  assert.deepEqual([closed?.requestBytes, closed?.responseBytes], [10, 16]);
});

test("what a sidecar answers itself is shown with the reason, and it says what it holds", { timeout: 60_000 }, async (t) => {
  const parts = need(t, "curl");
  if (!parts) return;
  const malformed = fixture("raw", "users", 80, JSON.stringify("GET /two words HTTP/1.1\r\nhost: users\r\n\r\n")).join(" ");
  await mesh.run("idle", ["sleep", "600"], { options: ["--port", "80:8080", "--no-publish"], endpoints: 0 });
  const user = await caller("shop", `${parts.curl} -s http://idle/x; ${parts.curl} -s http://users/ok; ${malformed.replace(/"/g, '\\"')}`);
  const watching = await watch(t, { service: "shop.default" });
  user.go();
  const [refused] = await watching.take(1, "caller");
  assert.deepEqual([refused?.to, refused?.path, refused?.status, refused?.error], ["idle.default", "/x", 503, "WEFT-P-NO-ENDPOINT"]);
  assert.deepEqual([refused?.attempts, refused?.endpoint, refused?.headLatencyMs], [0, "", null]);

  const { from } = await mesh.api.why("shop.default", "users.default");
  const [shop] = from.workloads;
  assert.ok(shop?.description, JSON.stringify(shop?.silence));
  const held = shop.description;
  assert.equal(held.identity, "spiffe://weft.local/ns/default/sa/shop");
  assert.ok(held.certificateNotAfter > Date.now() / 1000);
  const users = await until("the sidecar called users", async () => {
    const now = await mesh.api.why("shop.default", "users.default");
    return now.from.workloads[0]?.description?.services.find(({ name, endpoints }) => name === "users.default" && endpoints[0]?.latencyMs);
  });
  const service = (await mesh.api.services()).find(({ name }) => name === "users");
  assert.equal(users.virtualAddress, service?.virtualAddress);
  const [endpoint] = users.endpoints;
  assert.deepEqual(
    [endpoint?.id, endpoint?.state, endpoint?.identity],
    [service?.endpoints[0]?.id, "answering", "spiffe://weft.local/ns/default/sa/users"],
  );
  assert.ok(held.errors.some(({ code, peer }) => code === "WEFT-P-NO-ENDPOINT" && peer === "idle.default"));

  const { to } = await mesh.api.why("shop.default", "users.default");
  assert.deepEqual(
    to.workloads[0]?.description?.ports.map(({ port, servicePorts, listening }) => [port, servicePorts, listening]),
    [[8080, [80], true]],
  );
});

test("requests beyond a tap's rate are counted, not shown, and all of them are answered", { timeout: 120_000 }, async (t) => {
  const parts = need(t, "h2load");
  if (!parts) return;
  const requests = 5_000;
  const target = await mesh.run("busy", fixture("echo", 8080), { options: ["--port", "80:8080", "--no-publish"] });
  const watching = await watch(t, { service: "busy.default", maxRps: 50 });
  const path = `/${"a".repeat(4_000)}`;
  const load = await mesh.call("load", [parts.h2load, "--h1", "-n", String(requests), "-c", "10", `http://busy${path}`], {
    timeoutMs: 90_000,
  });
  assert.match(load.stdout, new RegExp(`${requests} done, ${requests} succeeded`), load.stderr);
  const counted = await until("all are counted", () => {
    const dropped = watching.lines.reduce((sum, line) => sum + (line.kind === "dropped" ? line.requests : 0), 0);
    return watching.requests("called").length + dropped === requests && dropped;
  });
  assert.ok(counted > requests / 2, `${counted} were left out`);
  assert.ok(watching.requests("called").every((request) => request.path === path.slice(0, 2_048)));
  assert.equal(total(await metricsOf(await target.admin()), "weft_requests_total", { direction: "inbound" }), requests);
});

test("a watcher that does not read slows nobody down and makes no sidecar grow", { timeout: 120_000 }, async (t) => {
  const parts = need(t, "h2load");
  if (!parts) return;
  const requests = 6_000;
  const target = await mesh.run("unread", fixture("echo", 8080), { options: ["--port", "80:8080", "--no-publish"] });
  const pid = await target.sidecar();
  const load = (count: number) =>
    mesh.call("load", [parts.h2load, "--h1", "-n", String(count), "-c", "10", `http://unread/${"a".repeat(3_500)}`], { timeoutMs: 90_000 });
  await load(1_000);
  const before = residentBytes(pid);
  const watcher = connect(statePaths(mesh.state).apiSocket);
  t.after(() => watcher.destroy());
  watcher.pause();
  watcher.write("GET /weft/v1/tap?service=unread.default&maxRps=10000&fields=true HTTP/1.1\r\nhost: localhost\r\n\r\n");
  const { stdout, stderr } = await load(requests);
  assert.match(stdout, new RegExp(`${requests} done, ${requests} succeeded`), stderr);
  const grown = residentBytes(pid) - before;
  assert.ok(grown < 8_000_000, `the sidecar grew by ${grown} bytes`);
});

test("after a restart of the controller requests can be watched again", { timeout: 60_000 }, async (t) => {
  const parts = need(t, "curl");
  if (!parts) return;
  await mesh.killController();
  await mesh.up();
  const watching = await watch(t, { service: "users.default" });
  await mesh.call("asker", [parts.curl, "-s", "http://users/again"]);
  const [again] = await watching.take(1, "called");
  assert.deepEqual([again?.from, again?.path], ["asker.default", "/again"]);
});

function residentBytes(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/statm`, "utf8").split(" ")[1]) * 4096;
}

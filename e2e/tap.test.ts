import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { TapRequest } from "@weft/api";
import { type Ended, Mesh, memoryOf, need, Running, root, until } from "@weft/testkit";
import { fixture } from "./fixtures.ts";

// Live requests, as people see them: each once, of every protocol, with its reason, and harmless whatever is in it.

let mesh: Mesh;
before(async () => {
  mesh = await Mesh.start();
  await mesh.run("echo", fixture("echo", 8080), { options: ["--port", "80:8080", "--no-publish"] });
  await mesh.run("grpc", fixture("grpc", "serve", 8081), { options: ["--port", "80:8081", "--no-publish"] });
  const server = 'require("net").createServer((s) => s.on("error", () => {}).pipe(s)).listen(8082, "0.0.0.0")';
  await mesh.run("bytes", [process.execPath, "-e", server], { options: ["--port", "7000:8082", "--no-publish"] });
  await mesh.run("web", fixture("chatter", "http://echo", "grpc:80", "bytes", 7000), { endpoints: 0 });
});
after(() => mesh[Symbol.asyncDispose]());

/** What `weft tap ARGS` shows until it has shown `count` requests. */
async function tap(args: string[], count: number): Promise<TapRequest[]> {
  const { code, stdout, stderr } = await mesh.weft(["tap", ...args, "-o", "json", "--count", String(count), "--duration", "30s"]);
  assert.equal(code, 0, stderr);
  const requests = stdout
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line))
    .filter(({ kind }) => kind === "request");
  assert.equal(requests.length, count, `${stdout}${stderr}`);
  return requests;
}

const identity = (service: string) => `spiffe://weft.local/ns/default/sa/${service}`;

test("HTTP/1.1, gRPC and bytes are shown with who, what, how it ended and how much it carried", { timeout: 90_000 }, async () => {
  const requests = await tap([], 40);
  const find = (wanted: Partial<TapRequest>) => {
    const found = requests.find((request) => Object.entries(wanted).every(([key, value]) => request[key as keyof TapRequest] === value));
    assert.ok(found, `${JSON.stringify(wanted)} is not among ${JSON.stringify(requests, undefined, 1)}`);
    return found;
  };
  const plain = find({ method: "GET", path: "/hello?kind=plain" });
  assert.deepEqual(
    [plain.from, plain.to, plain.port, plain.protocol, plain.status, plain.attempts, plain.tls, plain.authority, plain.error],
    ["web.default", "echo.default", 80, "http1", 200, 1, true, "echo", ""],
  );
  assert.deepEqual([plain.fromIdentity, plain.toIdentity], [identity("web"), identity("echo")]);
  assert.ok(Math.abs(Date.now() - Date.parse(plain.time)) < 60_000);
  assert.ok((plain.headLatencyMs ?? 0) > 0 && plain.latencyMs >= (plain.headLatencyMs ?? 0));
  assert.deepEqual([find({ method: "POST" }).requestBytes, find({ method: "POST" }).responseBytes], [12, 1000]);
  assert.equal(find({ path: "/test.Echo/Say", protocol: "http2" }).grpcStatus, 0);
  assert.equal(find({ path: "/test.Echo/Fail" }).grpcStatus, 5);
  const bytes = find({ to: "bytes.default", method: "" });
  assert.deepEqual([bytes.protocol, bytes.status, bytes.requestBytes, bytes.responseBytes], ["tcp", null, 21, 21]);
  const refused = find({ port: 9999, path: "/nobody" });
  assert.deepEqual([refused.status, refused.error, refused.attempts], [503, "WEFT-P-NO-ENDPOINT", 0]);
  assert.deepEqual(new Set(requests.map(({ side }) => side)), new Set(["caller"]), "each request is seen by its caller's sidecar, once");
});

test("a target is seen by its own sidecars", { timeout: 60_000 }, async () => {
  const { id } = (await mesh.api.workloads()).find(({ service }) => service === "echo") ?? { id: "" };
  for (const target of ["echo", "echo.default.weft", id]) {
    for (const { side, to, workload } of await tap([target], 3)) assert.deepEqual([side, to, workload], ["called", "echo.default", id]);
  }
});

for (const { args, isWanted } of [
  { args: ["--method", "post"], isWanted: ({ method }) => method === "POST" },
  { args: ["--path", "/bytes/"], isWanted: ({ path }) => path.startsWith("/bytes/") },
  { args: ["--status", "5xx"], isWanted: ({ status }) => status === 503 },
  { args: ["--status", "503"], isWanted: ({ status }) => status === 503 },
  { args: ["--to", "grpc"], isWanted: ({ to }) => to === "grpc.default" },
  { args: ["echo", "--from", "web"], isWanted: ({ from, to }) => from === "web.default" && to === "echo.default" },
  { args: ["--header", "X-Test=yes"], isWanted: ({ path }) => path === "/hello?kind=plain" },
] satisfies { args: string[]; isWanted: (request: TapRequest) => boolean }[]) {
  test(`${args.join(" ")} chooses`, { timeout: 60_000 }, async () => {
    for (const request of await tap(args, 4)) assert.ok(isWanted(request), JSON.stringify(request));
  });
}

test("secrets are shown only when they are asked for", { timeout: 60_000 }, async () => {
  const valuesOf = async (...args: string[]) => {
    const [request] = await tap(["--header", "x-test", ...args], 1);
    return Object.fromEntries((request?.requestFields ?? []).map(({ name, value }) => [name, value]));
  };
  const hidden = await valuesOf("--fields");
  assert.deepEqual([hidden.authorization, hidden.cookie, hidden["x-test"]], ["(redacted)", "(redacted)", "yes"]);
  const shown = await valuesOf("--fields", "--secrets");
  assert.deepEqual([shown.authorization, shown.cookie], ["Bearer s3cret", "session=s3cret"]);
  assert.deepEqual(await valuesOf(), {});
});

test("a line names the reason when a sidecar answered itself", { timeout: 60_000 }, async () => {
  const { stdout } = await mesh.weft(["tap", "--path", "/nobody", "--count", "1"]);
  const line =
    /^\d\d:\d\d:\d\d\.\d{3} {2}web -> echo:9999 {2}GET \/nobody {2}503 {2}\S+ {2}0B\/0B {2}- {2}WEFT-P-NO-ENDPOINT: no instance of the service serves this port now\n$/;
  assert.match(stdout, line);
});

test("what starts while a tap runs is watched, too; when nothing matches, people hear how many are", { timeout: 90_000 }, async () => {
  const running = new Running(join(root, "bin", "weft"), ["tap", "--path", "/bytes/7", "--count", "1"], { env: mesh.env });
  await until("the tap says that nothing matched", () =>
    /^Nothing matched yet; \d+ sidecars are watched\. What starts/.test(running.stderr),
  );
  await mesh.call("late", [process.execPath, "-e", 'fetch("http://echo/bytes/7").then((r) => r.text())']);
  const { code, stdout } = await running.ended;
  assert.equal(code, 0);
  assert.match(stdout, /late -> echo:80 {2}GET \/bytes\/7 /);
});

test("an unknown name is answered with the nearest known one", { timeout: 30_000 }, async () => {
  for (const args of [
    ["tap", "ehco"],
    ["tap", "--from", "ehco"],
    ["top", "ehco"],
  ]) {
    const { code, stderr } = await mesh.weft(args);
    assert.equal(code, 1);
    assert.match(stderr, /"ehco"\. Did you mean "echo"\?.*\(WEFT-L-SERVICE-UNKNOWN\)/);
  }
});

test("Ctrl-C ends a tap with the code that shells expect, and the sidecars' part with it", { timeout: 30_000 }, async () => {
  const running = new Running(join(root, "bin", "weft"), ["tap", "-o", "json"], { env: mesh.env });
  await until("it shows something", () => running.stdout.includes("\n"));
  const { code, stderr } = await running.stop("SIGINT");
  assert.deepEqual([code, stderr], [130, ""]);
});

test("values that would move a cursor, and paths of 50 KB, are shown harmlessly", { timeout: 90_000 }, async () => {
  const evil = ["\u202egpj.exe", "\u009b2J", "<script>alert(1)</script>", "\u0085\u2028"];
  const paths = ["/<img/src=x>", "/%1b%5b2J", "/\u202eevil"];
  const caller = `const fields = ${JSON.stringify(evil)}.map((text) => "x-evil: " + text + "\\r\\n").join("");
    const send = (path) => new Promise((done) => { const socket = require("net").connect(80, "echo", () =>
      socket.write("GET " + path + " HTTP/1.1\\r\\nhost: echo\\r\\nconnection: close\\r\\n" + fields + "\\r\\n"));
      socket.once("data", (data) => console.log(String(data).slice(0, 12))).once("close", done).resume(); });
    (async () => { for (const path of [...${JSON.stringify(paths)}, "/long/" + "x".repeat(50000)]) await send(path); })()`;
  const count = paths.length + 1;
  const control = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;
  const call = () => mesh.call("liar", [process.execPath, "-e", caller]);
  const first = await call();
  // The sidecar refuses what is no path; Node's server takes heads of 16 KB, the sidecar more.
  assert.equal(first.stdout, [200, 200, 400, 431].map((status) => `HTTP/1.1 ${status}\n`).join(""), first.stderr);
  await until("its name is known", async () => (await mesh.api.edges()).some(({ from }) => from === "liar.default"));
  const watch = (args: string[]) =>
    new Running(join(root, "bin", "weft"), ["tap", ...args, "--fields", "--count", String(count)], { env: mesh.env });
  const watchers = [watch(["--from", "liar"]), watch(["--from", "liar", "-o", "json"])];
  // A tap shows requests that began after it.
  while (!watchers.every(({ isOver }) => isOver)) await call();
  const [table, lines] = (await Promise.all(watchers.map(({ ended }) => ended))) as [Ended, Ended];
  assert.deepEqual([table.code, lines.code], [0, 0], table.stderr + lines.stderr);
  for (const line of `${table.stdout}${lines.stdout}`.split("\n")) assert.doesNotMatch(line, control);
  const requests = lines.stdout
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line) as TapRequest);
  assert.equal(requests.length, count);
  assert.ok(requests.some(({ error }) => error === "WEFT-P-MALFORMED-REQUEST"));
  const long = requests.find(({ path }) => path.startsWith("/long/"));
  assert.equal(long?.path.length, 2048);
  assert.ok(
    long.requestFields?.some(({ value }) => value === "\u202egpj.exe"),
    JSON.stringify(long.requestFields),
  );
});

test("100,000 distinct paths harm neither controller nor sidecars, whoever watches", { timeout: 300_000 }, async (t) => {
  const parts = need(t, "h2load");
  if (!parts) return;
  const total = 100_000;
  const urls = join(mesh.folder, "urls");
  writeFileSync(
    urls,
    Array.from({ length: total }, (_, index) => `http://echo/status/${200 + (index % 2)}/p${index}-${"x".repeat(200)}\n`).join(""),
  );
  const watchers = [
    ["top", "--max-rps", "10000", "--rows", "10", "-o", "json"],
    ["tap", "--max-rps", "10000"],
    ["tap", "echo", "--fields"],
  ].map((args) => new Running(join(root, "bin", "weft"), args, { env: mesh.env }));
  const { pid } = await mesh.api.status();
  const load = `${parts.h2load} --h1 -n ${total} -c 10 -i ${urls}; echo finished; exec sleep 600`;
  const member = await mesh.run("load", ["sh", "-c", load], { endpoints: 0 });
  const sidecars = [await until("the caller is registered", () => member.sidecar())];
  const before = [pid, ...sidecars].map((each) => memoryOf(each).anonymous);
  await until("the load is done", () => member.running.isOver || member.running.stdout.includes("finished\n"), { timeoutMs: 240_000 });
  assert.match(member.running.stdout, new RegExp(`requests: ${total} total, ${total} started, ${total} done`));
  const grown = [pid, ...sidecars].map((each, index) => (memoryOf(each).anonymous - (before[index] ?? 0)) / 2 ** 20);
  t.diagnostic(`grown by ${grown.map((each) => each.toFixed(1)).join(" (controller), ")} MiB (caller's sidecar)`);
  assert.ok((grown[0] ?? 0) < 150 && (grown[1] ?? 0) < 24, `${grown} MiB`);
  const [top, tapped] = await Promise.all(watchers.map((watcher) => watcher.stop("SIGINT")));
  const last = JSON.parse(top?.stdout.trim().split("\n").at(-1) ?? "{}");
  assert.equal(last.rows.length, 10);
  const counted = [...last.rows, last.other].reduce((sum, { count }) => sum + count, 0);
  assert.equal(counted, last.requests);
  assert.ok((tapped?.stdout.length ?? 0) > 0);
});

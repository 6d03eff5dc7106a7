import assert from "node:assert/strict";
import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { connect, type NetConnectOpts } from "node:net";
import { type TestContext, test } from "node:test";
import { ApiClient, statePaths } from "@weft/api";
import { running } from "./testing/controllers.ts";
import { version } from "./version.ts";

async function pagePort(t: TestContext) {
  const { stateDir, controller } = await running(t);
  return { port: Number(new URL(controller.pageUrl).port), stateDir };
}

async function call(port: number, options: { method?: string; path?: string; socketPath?: string; headers?: Record<string, string> } = {}) {
  const sent = request({ host: "127.0.0.1", port, path: "/weft/v1/status", agent: false, ...options });
  sent.end();
  const [response] = (await once(sent, "response")) as [IncomingMessage];
  response.setEncoding("utf8");
  let body = "";
  for await (const chunk of response) body += chunk;
  return { status: response.statusCode, headers: response.headers, body, code: /"code":"([^"]*)"/.exec(body)?.[1] };
}

/** Sends bytes, and answers what came back before the connection was closed. */
async function exchange(to: NetConnectOpts, bytes: string | Buffer): Promise<{ answer: string }> {
  const socket = connect(to);
  let answer = "";
  socket.on("error", () => {});
  socket.on("data", (chunk) => {
    answer += chunk.toString("latin1");
  });
  socket.write(bytes);
  await new Promise((resolve) => socket.once("close", resolve));
  return { answer };
}

test("a name that DNS points at the port is refused: only the controller's own Host is answered", async (t) => {
  const { port } = await pagePort(t);
  for (const host of [`127.0.0.1:${port}`, `localhost:${port}`, `[::1]:${port}`])
    assert.equal((await call(port, { headers: { host } })).status, 200);
  for (const host of ["evil.example", `evil.example:${port}`, "127.0.0.1", "127.0.0.1:1", `127.0.0.1:${port}.evil.example`]) {
    const { status, code } = await call(port, { headers: { host } });
    assert.deepEqual([status, code], [403, "WEFT-C-HOST-REFUSED"], host);
  }
  const { answer } = await exchange({ host: "127.0.0.1", port }, "GET /weft/v1/status HTTP/1.0\r\n\r\n");
  assert.match(answer, /^HTTP\/1\.1 403 .*WEFT-C-HOST-REFUSED/s);
});

test("requests of other sites' pages are refused, also of pages on other ports of this host", async (t) => {
  const { port } = await pagePort(t);
  for (const site of ["cross-site", "same-site", "nonsense"]) {
    const { status, code } = await call(port, { headers: { "sec-fetch-site": site } });
    assert.deepEqual([status, code], [403, "WEFT-C-CROSS-SITE-REFUSED"], site);
  }
  for (const site of ["same-origin", "none"]) assert.equal((await call(port, { headers: { "sec-fetch-site": site } })).status, 200);
});

test("nothing can be changed over TCP", async (t) => {
  const { port, stateDir } = await pagePort(t);
  for (const [method, path] of [
    ["POST", "/weft/v1/shutdown"],
    ["POST", "/weft/v1/workloads"],
    ["DELETE", "/weft/v1/workloads/w-1"],
    ["PUT", "/"],
    ["OPTIONS", "/weft/v1/status"],
  ] as const) {
    const { status, code } = await call(port, { method, path });
    assert.deepEqual([status, code], [405, "WEFT-C-READ-ONLY"], `${method} ${path}`);
  }
  assert.equal((await new ApiClient(stateDir).status()).pid, process.pid);
});

test("answers let no other page read, frame or run them", async (t) => {
  const { port } = await pagePort(t);
  const { headers } = await call(port, { headers: { origin: "http://evil.example" } });
  assert.equal(headers["access-control-allow-origin"], undefined);
  assert.equal(headers["x-content-type-options"], "nosniff");
  assert.match(String(headers["content-security-policy"]), /default-src 'self'.*frame-ancestors 'none'/);
});

test("no path leads out of the page's directory", async (t) => {
  const { port } = await pagePort(t);
  for (const path of [
    "/../package.json",
    "/..%2fpackage.json",
    "/%2e%2e/package.json",
    "/assets/../../package.json",
    "//etc/passwd",
    "/.git/config",
    "/a\0.js",
  ]) {
    assert.equal((await call(port, { path: encodeURI(path).replaceAll("%25", "%") })).status, 404, path);
  }
});

test("bodies that are too large, no JSON, or not what the call takes are refused with what is wrong", async (t) => {
  const { stateDir } = await pagePort(t);
  const api = new ApiClient(stateDir);
  const refused = (body: unknown) =>
    api.registerWorkload(body as never).then(
      () => assert.fail("it was accepted"),
      (error: { code: string; message: string }) => error,
    );
  assert.equal((await refused({ service: "users", pid: 1, command: Array(1000).fill("x".repeat(4000)) })).code, "WEFT-C-BODY-TOO-LARGE");
  const name = await refused({ service: "My_Users", pid: 1 });
  assert.equal(name.code, "WEFT-C-NAME-INVALID");
  assert.match(name.message, /"My_Users" is no DNS label.*Did you mean "my-users"\?/);
  for (const [body, message] of [
    [{ service: "users" }, /pid/],
    [{ service: "users", pid: 1, ports: [{ servicePort: 0, targetPort: 1 }] }, /ports\.0\.servicePort/],
    [{ service: "users", pid: 1, ports: [1, 2].map((targetPort) => ({ servicePort: 80, targetPort })) }, /named twice/],
    [{ service: "users", pid: 1, port: 80 }, /port/],
    [[], /body/],
  ] as const) {
    const error = await refused(body);
    assert.equal(error.code, "WEFT-C-BODY-INVALID");
    assert.match(error.message, message);
  }
  const { answer } = await exchange(
    { path: statePaths(stateDir).apiSocket },
    "POST /weft/v1/workloads HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nConnection: close\r\n\r\n{",
  );
  assert.match(answer, /^HTTP\/1\.1 400 .*WEFT-C-BODY-INVALID/s);
});

test("unknown calls, methods, ids and windows are named", async (t) => {
  const { port, stateDir } = await pagePort(t);
  const code = async (path: string) => (await call(port, { path, socketPath: statePaths(stateDir).apiSocket })).code;
  assert.equal(await code("/weft/v1/nonsense"), "WEFT-C-NOT-FOUND");
  assert.equal(await code("/weft/v1/constructor"), "WEFT-C-NOT-FOUND");
  assert.equal(await code("/weft/v1/workloads/a/b/c/d"), "WEFT-C-NOT-FOUND");
  assert.equal(await code("/weft/v1/shutdown"), "WEFT-C-METHOD-NOT-ALLOWED");
  for (const window of ["0", "-1", "1e2", "x"]) assert.equal(await code(`/weft/v1/stat?window=${window}`), "WEFT-C-QUERY-INVALID", window);
  assert.equal(await code("/weft/v1/stat?window=43201"), "WEFT-C-WINDOW-NOT-KEPT");
  assert.equal(await code("/weft/v1/stat?by=moon"), "WEFT-C-QUERY-INVALID");
  assert.equal(await code(`/weft/v1/stat?service=${"x".repeat(400)}`), "WEFT-C-QUERY-INVALID");
  const api = new ApiClient(stateDir);
  await assert.rejects(api.deleteWorkload("w-none"), { code: "WEFT-C-WORKLOAD-UNKNOWN" });
  await assert.rejects(api.token("w-none"), { code: "WEFT-C-WORKLOAD-UNKNOWN" });
  await assert.rejects(api.deleteEndpoint("e-none"), { code: "WEFT-C-ENDPOINT-UNKNOWN" });
});

test("garbage and silence on every port end by themselves, and the rest goes on", { timeout: 60_000 }, async (t) => {
  const { port, stateDir } = await pagePort(t);
  const { apiSocket, controlSocket } = statePaths(stateDir);
  const targets = [{ host: "127.0.0.1", port }, { path: apiSocket }, { path: controlSocket }];
  const hostile = [
    "",
    "\0\xff\x16\x03\x01garbage\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: x\r\nA: ",
    "GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
    `GET / HTTP/1.1\r\nA: ${"x".repeat(100_000)}`,
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    Buffer.concat([Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), Buffer.alloc(1000, 0xff)]),
  ];
  const ends = await Promise.all(targets.flatMap((target) => hostile.map((bytes) => exchange(target, bytes))));
  assert.equal(ends.length, targets.length * hostile.length);
  assert.equal((await new ApiClient(stateDir).status()).pid, process.pid);
});

test("viewers get an event at once and each second, and one too many is refused", async (t) => {
  const { port, stateDir } = await pagePort(t);
  const aborted = new AbortController();
  t.after(() => aborted.abort());
  const events: string[] = [];
  for await (const { status, stat } of new ApiClient(stateDir).live()) {
    events.push(`${status.version} ${stat.window}`);
    if (events.length === 2) break;
  }
  assert.deepEqual(events, [`${version} 60`, `${version} 60`]);
  const viewers = await Promise.all(
    Array.from({ length: 64 }, async () => {
      const sent = request({ host: "127.0.0.1", port, path: "/weft/v1/live", agent: false, signal: aborted.signal });
      sent.on("error", () => {});
      sent.end();
      const [response] = (await once(sent, "response")) as [IncomingMessage];
      response.on("error", () => {}).resume();
      return response.statusCode;
    }),
  );
  assert.deepEqual([...new Set(viewers)], [200]);
  assert.equal((await call(port, { path: "/weft/v1/live" })).code, "WEFT-C-TOO-MANY");
});

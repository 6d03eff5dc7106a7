import assert from "node:assert/strict";
import { connect } from "node:net";
import { type TestContext, test } from "node:test";
import { ApiClient, type Live } from "@weft/api";
import { Direction, Protocol } from "@weft/api/proto";
import type { LiveFeed } from "./serve/live.ts";
import { createRoutes, type RouteServices, type Who } from "./serve/routes.ts";
import type { Snapshot } from "./serve/snapshot.ts";
import { running } from "./testing/controllers.ts";
import { FakeSidecar, refuse } from "./testing/fake-sidecar.ts";

// Whoever reaches the page's port, other users of the machine included, may ask two calls, which hold names and numbers.
const open = ["/weft/v1/live", "/weft/v1/status"];

const secret = "hunter2";

/** A controller to which programs, launchers and sidecars told secrets in every text that they may send. */
async function secretive(t: TestContext) {
  const { stateDir, controller } = await running(t);
  const command = ["serve", "--password", secret, `/home/${secret}/app`];
  const sidecar = await FakeSidecar.register(stateDir, { service: "users", ports: [{ servicePort: 80, targetPort: 8080 }], command });
  t.after(() => sidecar.disconnect());
  await sidecar.certify();
  const { id } = sidecar.workload;
  const lastEnd = { reason: `killed by ${secret}`, atMs: Date.now() };
  await sidecar.api.launched(id, { redirection: "proxy", reason: `no ${secret}`, pid: 424_242, published: [], restarts: 1, lastEnd });
  const discovery = sidecar.discovery();
  await refuse(discovery, "users", secret);
  const telemetry = sidecar.telemetry();
  const peer = { name: `http://${secret}@db/?token=${secret}`, identity: `spiffe://weft.local/${secret}` };
  const common = { direction: Direction.OUTBOUND, peer, port: 80, protocol: Protocol.HTTP1 };
  const told = { ...common, route: `/reset/${secret}`, method: secret, statusClass: 5, error: secret, requests: 3n };
  const refusal = { reason: `WEFT ${secret}`, address: secret, identity: secret, count: 2n, detail: `it said ${secret}` };
  telemetry.sent.push(sidecar.report({ requests: [told], connections: [{ ...common, opened: 1n, open: 1n }], refusals: [refusal] }));
  await telemetry.until((received) => received.find(({ response }) => response.case === "acknowledged"));
  const policy = sidecar.watch([8080]);
  await policy.until((received) => received[0]);
  t.after(() => policy.aborted.abort());
  return { stateDir, port: Number(new URL(controller.pageUrl).port), private: [secret, stateDir, id, "424242", String(process.pid)] };
}

/** Sends a request over TCP and answers what came back: all of it, or an event stream's first event. */
function ask(port: number, method: string, target: string, headers: string[] = [`host: 127.0.0.1:${port}`]): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1");
    let answer = "";
    socket.setEncoding("latin1").setTimeout(10_000, () => socket.destroy(new Error(`${method} ${target}: no end after 10 s`)));
    socket.on("data", (text) => {
      answer += text;
      if (answer.includes("text/event-stream") && answer.includes("\n\n")) socket.destroy();
    });
    socket.on("error", (error: NodeJS.ErrnoException) => (error.code === "ECONNRESET" ? undefined : reject(error)));
    socket.on("close", () => resolve(answer));
    socket.write(`${[`${method} ${target} HTTP/1.1`, ...headers, "connection: close"].join("\r\n")}\r\n\r\n`);
  });
}

const query = "?from=users&to=users&fields=true&secrets=true&by=route&window=60";

/** Ways to write a path that some server or other takes for the same. */
function spellings(path: string, port: number): string[] {
  const last = path.lastIndexOf("/") + 1;
  const [before, name] = [path.slice(0, last), path.slice(last)];
  const encoded = `%${name.charCodeAt(0).toString(16)}${name.slice(1)}`;
  return [
    path,
    `${path}/`,
    `${path}//`,
    `${path}/.`,
    `${path}/./`,
    `${path}/x/..`,
    `${path};x`,
    `${path};/`,
    `${path}%2f`,
    `${path}%2F.`,
    `${path}%00`,
    `${path}%20`,
    `${path}.json`,
    `${path}\\`,
    `/${path}`,
    `//127.0.0.1:${port}${path}`,
    `/.${path}`,
    `/x/..${path}`,
    `/assets/..${path}`,
    `/assets/%2e%2e${path}`,
    path.replaceAll("/", "//"),
    path.replaceAll("/", "\\").replace("\\", "/"),
    path.replace("/weft/", "/WEFT/"),
    path.replace("/v1/", "/v1/./"),
    path.replace("/v1/", "/v1%2f"),
    path.replace("/v1/", "/v1//"),
    before + encoded,
    before + name.toUpperCase(),
    before + name.charAt(0).toUpperCase() + name.slice(1),
    `${before}./${name}`,
    `${before}../v1/${name}`,
    `${before}%2e/${name}`,
    `http://127.0.0.1:${port}${path}`,
    `HTTP://LOCALHOST:${port}${path}`,
    `http://127.0.0.1:${port}/${path}`,
    `http://evil.example${path}`,
    `http://user@127.0.0.1:${port}${path}`,
    `http:${path}`,
    `https://127.0.0.1:${port}${path}`,
    `?${path}`,
    `*${path}`,
    path.slice(1),
    `#${path}`,
  ];
}

const methods = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "PROPFIND", "QUERY", "CONNECT", "get", "X"];

/** Paths of every call, as they are registered, and of resources. */
const paths = [
  ...Object.keys(createRoutes({} as RouteServices, {} as Snapshot, {} as Record<Who, LiveFeed>)).map(
    (pattern) => `/weft/v1${pattern.replace("*", "w-1")}`,
  ),
  "/version",
  "/api",
  "/apis",
  "/openapi/v3",
  "/api/v1/namespaces",
  "/api/v1/services",
  "/apis/weft.dev/v1alpha1/workloads",
  "/apis/gateway.networking.k8s.io/v1/namespaces/default/httproutes/users",
];

// The last: a 100 may come before.
const statusOf = (answer: string) => Number([...answer.matchAll(/^HTTP\/1\.1 (\d{3}) /gm)].at(-1)?.[1] ?? 0);

test("a stranger is answered two calls and the page, however the request is spelled", { timeout: 60_000 }, async (t) => {
  const { port, private: secrets } = await secretive(t);
  assert.ok(paths.length >= 14 && open.every((path) => paths.includes(path)), paths.join(" "));
  for (const path of paths) {
    const targets = spellings(path, port).flatMap((target) => [target, target + query]);
    const requests = [
      ...targets.map((target) => ({ method: "GET", target })),
      ...methods.flatMap((method) => [path, `${path}/`].map((target) => ({ method, target }))),
    ];
    await Promise.all(
      requests.map(async ({ method, target }) => {
        const answer = await ask(port, method, target);
        const plain = target.replace(query, "").replace(/^http:\/\/(127\.0\.0\.1|localhost):\d+(?=\/[^/])/i, "");
        const mayAnswer = open.includes(plain) && ["GET", "HEAD"].includes(method);
        // Without an answer the connection was just closed, as after CONNECT.
        const status = statusOf(answer);
        if (mayAnswer) assert.equal(status, 200, `${method} ${target}: ${answer}`);
        else assert.ok(status === 0 ? answer === "" : status >= 400, `${method} ${target}: ${answer}`);
        for (const text of secrets) {
          const told = answer.replaceAll(target, "").replaceAll(JSON.stringify(target).slice(1, -1), "");
          assert.ok(!told.includes(text), `${method} ${target} tells ${text}: ${answer}`);
        }
      }),
    );
  }
});

test("a stranger's Host, however it is sent, opens nothing more", async (t) => {
  const { port } = await secretive(t);
  const own = `127.0.0.1:${port}`;
  for (const headers of [
    [],
    ["host:"],
    ["host: api.sock"],
    ["host: evil.example", `host: ${own}`],
    [
      `host: ${own}`,
      "x-forwarded-host: api.sock",
      "x-original-url: /weft/v1/tap",
      "x-rewrite-url: /weft/v1/tap",
      "x-forwarded-for: 127.0.0.1",
    ],
    [`host: ${own}`, "x-http-method-override: POST"],
    [`host: ${own}`, "upgrade: h2c", "connection: upgrade, http2-settings", "http2-settings: AAMAAABkAAQAAP__"],
    [`host: ${own}`, "expect: 100-continue"],
  ]) {
    for (const path of ["/weft/v1/tap", "/weft/v1/workloads", "/weft/v1/why?from=a&to=b"]) {
      assert.ok([400, 403].includes(statusOf(await ask(port, "GET", path, headers))), `${headers.join(", ")} ${path}`);
    }
  }
});

test("what a stranger is shown is names and numbers: nothing that a program, a launcher or a peer wrote, no path and no process", async (t) => {
  const { port, stateDir, private: secrets } = await secretive(t);
  const everything = JSON.stringify([await new ApiClient(stateDir).workloads(), await new ApiClient(stateDir).edges()]);
  assert.ok(everything.split(secret).length > 10, "the user is told all of it");
  const live = await ask(port, "GET", "/weft/v1/live");
  const told = JSON.parse(live.slice(live.indexOf("data: ") + 6, live.indexOf("\n\n"))) as Live;
  assert.deepEqual(told.services, [{ name: "users", namespace: "default", endpoints: 1 }]);
  const [refused, called] = told.edges.toSorted((a, b) => a.requests - b.requests);
  assert.deepEqual(refused?.refusals, [{ reason: "other", address: "other", count: 2 }]);
  assert.deepEqual([called?.from, called?.to, called?.requests, called?.failures], ["users.default", "other", 3, 3]);
  for (const answer of [
    live,
    await ask(port, "GET", "/weft/v1/status"),
    await ask(port, "GET", "/"),
    await ask(port, "GET", "/weft/v1/tap"),
  ]) {
    for (const text of secrets) assert.ok(!answer.includes(text), `${text} in ${answer}`);
  }
});

test("a target that is no path is not found, and no fault of the controller", async (t) => {
  const { stateDir, controller } = await running(t);
  const port = Number(new URL(controller.pageUrl).port);
  for (const target of ["//", "///", "//[", "http://[", "http:///", "*", "/\\", "/%"]) {
    const status = statusOf(await ask(port, "GET", target));
    assert.ok(status >= 400 && status < 500, `${target}: ${status}`);
  }
  const log = (await new ApiClient(stateDir).checks()).find(({ name }) => name === "controller's log");
  assert.equal(log?.status, "ok", log?.what);
});

test("strangers who take every place of the page leave the user's own", async (t) => {
  const { stateDir, controller } = await running(t);
  const port = Number(new URL(controller.pageUrl).port);
  const viewers = Array.from({ length: 64 }, () => connect(port, "127.0.0.1"));
  t.after(() => {
    for (const viewer of viewers) viewer.destroy();
  });
  await Promise.all(
    viewers.map((viewer) => {
      viewer.write(`GET /weft/v1/live HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\n\r\n`);
      return new Promise((resolve) => viewer.once("data", resolve));
    }),
  );
  assert.match(await ask(port, "GET", "/weft/v1/live"), /WEFT-C-TOO-MANY/);
  assert.match(await ask(port, "HEAD", "/weft/v1/live"), /WEFT-C-TOO-MANY|^HTTP\/1\.1 429/);
  const { value } = await new ApiClient(stateDir).live().next();
  assert.equal(value?.stat.window, 60);
});

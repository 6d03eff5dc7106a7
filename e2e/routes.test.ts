import assert from "node:assert/strict";
import { createServer } from "node:http";
import { networkInterfaces } from "node:os";
import { test } from "node:test";
import { WeftError } from "@weft/api";
import { ResourceType } from "@weft/api/proto";
import { type Controller, freePort, type Member, Mesh, need, startController, until } from "@weft/testkit";
import { fixture } from "./fixtures.ts";

// Requests go where routes say, from the next request on, and nobody's fails for a change of them.

const gateway = "gateway.networking.k8s.io";
const unpublished = { options: ["--port", "8080", "--no-publish"] };

interface Resource {
  resource: string;
  apiVersion: string;
  kind: string;
}
const httpRoute: Resource = { resource: `httproutes.${gateway}`, apiVersion: `${gateway}/v1`, kind: "HTTPRoute" };
const grpcRoute: Resource = { resource: `grpcroutes.${gateway}`, apiVersion: `${gateway}/v1`, kind: "GRPCRoute" };
const service: Resource = { resource: "services", apiVersion: "v1", kind: "Service" };
const endpointSlice: Resource = { resource: "endpointslices.discovery.k8s.io", apiVersion: "discovery.k8s.io/v1", kind: "EndpointSlice" };

/** A mesh whose controller runs in this process, where what people write is put into its store. */
class RoutedMesh implements AsyncDisposable {
  readonly mesh: Mesh;
  #controller: Controller;

  private constructor(mesh: Mesh, controller: Controller) {
    this.mesh = mesh;
    this.#controller = controller;
  }

  static async start(): Promise<RoutedMesh> {
    const mesh = await Mesh.start();
    await mesh.weft(["down"]);
    return new RoutedMesh(mesh, await startController({ stateDir: mesh.state, pagePort: 0 }));
  }

  async write({ resource, ...type }: Resource, name: string, body: object, labels: Record<string, string> = {}): Promise<void> {
    const store = this.#controller.stores.storeFor(resource);
    for (;;) {
      const before = await store.get({ resource, namespace: "default", name });
      const own = before && { uid: before.metadata.uid, resourceVersion: before.metadata.resourceVersion };
      const object = { ...type, metadata: { name, namespace: "default", labels, ...own }, ...body };
      try {
        await store.write({ verb: before ? "update" : "create", resource, object });
        return;
      } catch (error) {
        // Its status was written meanwhile.
        if (!(error instanceof WeftError) || error.code !== "WEFT-C-OBJECT-CHANGED") throw error;
      }
    }
  }

  /** The status of an object, as text. */
  async status({ resource }: Resource, name: string): Promise<string> {
    const object = await this.#controller.stores.storeFor(resource).get({ resource, namespace: "default", name });
    return JSON.stringify(object?.status);
  }

  async delete({ resource }: Resource, name: string): Promise<void> {
    await this.#controller.stores.storeFor(resource).write({ verb: "delete", resource, namespace: "default", name });
  }

  /** How long it takes, in milliseconds, until what `change` writes is in force for a port of a service with so many sidecars. */
  async inForce(port: string, sidecars: number, change: () => Promise<void>): Promise<number> {
    const { sessions } = this.#controller;
    const key = `${ResourceType.ROUTES} ${port}`;
    let isChanged = false;
    const { promise, resolve } = Promise.withResolvers<number>();
    let began = 0;
    const look = () => {
      const standings = [...sessions.standings(key)];
      if (!standings.every(([, { inForce }]) => inForce)) isChanged = true;
      else if (isChanged && standings.length === sidecars) resolve(performance.now() - began);
    };
    sessions.on("progress", look);
    try {
      began = performance.now();
      await change();
      return await promise;
    } finally {
      sessions.off("progress", look);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#controller.stop();
    await this.mesh.up();
    await this.mesh[Symbol.asyncDispose]();
  }

  /** Ends the controller, as if it were gone for good. */
  stopController(): Promise<void> {
    return this.#controller.stop();
  }
}

const toService = (name: string) => ({ group: "", kind: "Service", name });
const backend = (name: string, more: object = {}) => ({ ...toService(name), port: 80, weight: 1, ...more });
const anyPath = { path: { type: "PathPrefix", value: "/" } };
const route = (parent: string, rules: object[]) => ({ spec: { parentRefs: [toService(parent)], rules } });
const split = (weights: Record<string, number>) =>
  route("users", [{ matches: [anyPath], backendRefs: Object.entries(weights).map(([name, weight]) => backend(name, { weight })) }]);

const lines = (member: Member) =>
  member.running.stdout
    .split("\n")
    .slice(0, -1)
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line) as { at: number; by?: string; failure?: string });

test("20,000 requests are split as the weights say, and a change of them is in force everywhere at once with no request failed", {
  timeout: 180_000,
}, async (t) => {
  await using routed = await RoutedMesh.start();
  const { mesh } = routed;
  await mesh.run("users", fixture("replica", 8080, "users"), unpublished);
  await mesh.run("next", fixture("replica", 8080, "next"), unpublished);
  await routed.write(httpRoute, "users-split", split({ users: 90, next: 10 }));

  for (const version of ["http1", "http2"]) {
    const { stdout, stderr } = await mesh.call("asks", fixture("asks", version, "http://users/", 20_000, 20), { timeoutMs: 120_000 });
    const counts = JSON.parse(stdout || stderr) as Record<string, number>;
    assert.deepEqual(Object.keys(counts).sort(), ["next", "users"], stdout);
    const share = (counts.next as number) / 20_000;
    t.diagnostic(`${version}: ${(100 * share).toFixed(2)} % went to next`);
    assert.ok(Math.abs(share - 0.1) < 0.01, `${share}`);
  }
  const { stdout: byRoute } = await mesh.weft(["stat", "--by", "route"]);
  assert.match(byRoute, /asks +default\/users-split +GET +100 %/);

  const loads = await Promise.all(
    ["web", "shop"].map((name) => mesh.run(name, fixture("steady", "http1", "http://users/", 250, 20), { endpoints: 0 })),
  );
  await until("both call", () => loads.every((load) => lines(load).length > 250));
  const took = await routed.inForce("users.default:80", 2, () => routed.write(httpRoute, "users-split", split({ users: 50, next: 50 })));
  const changed = Date.now();
  t.diagnostic(`in force on both sidecars after ${took.toFixed(0)} ms`);
  assert.ok(took < 300, `${took} ms`);
  await until("the route's status says so", async () => /in force on 2 of 2 proxies/.test(await routed.status(httpRoute, "users-split")));
  await until("a thousand more", () => loads.every((load) => lines(load).filter(({ at }) => at > changed).length > 1000), {
    timeoutMs: 30_000,
  });

  // Nobody is needed for what is in force.
  await routed.stopController();
  const away = Date.now();
  await until("they go on", () => loads.every((load) => lines(load).filter(({ at }) => at > away).length > 500), { timeoutMs: 30_000 });
  await until("the loads are over", () => loads.every((load) => load.running.stdout.includes("finished")), { timeoutMs: 60_000 });
  const all = loads.flatMap(lines);
  assert.deepEqual(
    all.filter(({ failure }) => failure !== undefined),
    [],
  );
  for (const [what, since] of [
    ["after the change", changed],
    ["without the controller", away],
  ] as const) {
    const asked = all.filter(({ at }) => at > since);
    const share = asked.filter(({ by }) => by === "next").length / asked.length;
    t.diagnostic(`${what}: ${(100 * share).toFixed(1)} % of ${asked.length} went to next`);
    assert.ok(Math.abs(share - 0.5) < 0.06, `${what}: ${share}`);
  }
});

test("paths, methods and fields decide, fields change on the way, and what goes nowhere says why", { timeout: 120_000 }, async () => {
  await using routed = await RoutedMesh.start();
  const { mesh } = routed;
  for (const name of ["users", "next"]) await mesh.run(name, fixture("mirror", 8080, name), unpublished);
  const changes = (type: string, changed: object) => ({
    type,
    [type === "RequestHeaderModifier" ? "requestHeaderModifier" : "responseHeaderModifier"]: changed,
  });
  await routed.write(
    httpRoute,
    "users",
    route("users", [
      { matches: [{ path: { type: "Exact", value: "/exact" } }], backendRefs: [backend("next")] },
      { matches: [{ path: { type: "PathPrefix", value: "/next" } }], backendRefs: [backend("next")] },
      { matches: [{ ...anyPath, method: "DELETE" }], backendRefs: [backend("next")] },
      { matches: [{ ...anyPath, headers: [{ type: "Exact", name: "X-Tier", value: "gold" }] }], backendRefs: [backend("next")] },
      { matches: [{ ...anyPath, queryParams: [{ type: "Exact", name: "v", value: "2" }] }], backendRefs: [backend("next")] },
      { matches: [{ path: { type: "PathPrefix", value: "/gone" } }], backendRefs: [backend("gone")] },
      {
        matches: [{ path: { type: "PathPrefix", value: "/changed" } }],
        filters: [
          changes("RequestHeaderModifier", {
            remove: ["x-gone"],
            set: [{ name: "X-Set", value: "a" }],
            add: [{ name: "x-added", value: "b" }],
          }),
          changes("ResponseHeaderModifier", { remove: ["x-from"], set: [{ name: "x-by", value: "the route" }] }),
        ],
        backendRefs: [backend("users")],
      },
      { matches: [{ path: { type: "PathPrefix", value: "/users" } }], backendRefs: [backend("users")] },
    ]),
  );
  const asks = await mesh.run("asks", fixture("asks"), { endpoints: 0, stdio: "pipe" });
  let asked = 0;
  const ask = async (version: string, path: string, more: object = {}) => {
    asks.running.child.stdin?.write(`${JSON.stringify({ version, url: `http://users${path}`, ...more })}\n`);
    asked++;
    const answers = await until(`the answer to ${path}`, () => {
      const told = asks.running.stdout.split("\n").slice(0, -1);
      return told.length >= asked && told;
    });
    const { status, headers, body } = JSON.parse(answers[asked - 1] as string);
    return { status, headers, body, ...(body.startsWith("{") ? JSON.parse(body) : {}) };
  };
  for (const version of ["http1", "http2"]) {
    const by = async (path: string, more: object = {}) => {
      const { name, status } = await ask(version, path, more);
      return name ?? status;
    };
    const cases: [path: string, more: object, by: string | number][] = [
      ["/exact", {}, "next"],
      ["/exact?a", {}, "next"],
      ["/exact/more", {}, 404],
      ["/next", {}, "next"],
      ["/next/a/b", {}, "next"],
      ["/nextdoor", {}, 404],
      ["/users", {}, "users"],
      ["/users", { method: "DELETE" }, "users"],
      ["/", { method: "DELETE" }, "next"],
      ["/users", { headers: { "x-tier": "gold" } }, "users"],
      ["/", { headers: { "x-tier": "gold" } }, "next"],
      ["/", { headers: { "x-tier": "silver" } }, 404],
      ["/?v=2", {}, "next"],
      ["/?v=1&v=2", {}, 404],
      ["/users/../next", {}, 400],
      ["/users//a%2Fb", {}, "users"],
    ];
    for (const [path, more, expected] of cases) assert.equal(await by(path, more), expected, `${version} ${path} ${JSON.stringify(more)}`);

    const changed = await ask(version, "/changed", { headers: { "x-gone": "1", "x-set": "2", "x-added": "3", "weft-client-id": "me" } });
    assert.deepEqual([changed.headers["x-gone"], changed.headers["x-set"], changed.headers["x-added"]], [undefined, "a", "3, b"]);
    assert.equal(changed.headers["weft-client-id"], "spiffe://weft.local/ns/default/sa/asks");
    assert.equal(changed.path, "/changed");

    const unmatched = await ask(version, "/other");
    assert.equal(unmatched.status, 404);
    assert.match(unmatched.body, /WEFT-P-NO-ROUTE/);
    const gone = await ask(version, "/gone");
    assert.equal(gone.status, 500);
    assert.match(gone.body, /default\/users.*BackendNotFound.*WEFT-P-NO-BACKEND/);
  }

  // Of a route that is removed nothing is left.
  await routed.delete(httpRoute, "users");
  await until("the service answers itself", async () => (await ask("http1", "/next")).name === "users");
  assert.equal((await ask("http2", "/other")).name, "users");
});

test("calls of gRPC are routed by their service and method", { timeout: 120_000 }, async () => {
  await using routed = await RoutedMesh.start();
  const { mesh } = routed;
  await mesh.run("calls", fixture("grpc", "serve", 8080), unpublished);
  const rule = (method: string | undefined, to: string) => ({
    ...(method === undefined ? {} : { matches: [{ method: { type: "Exact", service: "test.Echo", method } }] }),
    backendRefs: [backend(to)],
  });
  await routed.write(grpcRoute, "calls", {
    spec: { parentRefs: [toService("calls")], rules: [rule("Say", "calls"), rule("Fail", "gone")] },
  });
  const { stdout, stderr } = await mesh.call("asks", fixture("grpc", "unary", "calls:80"));
  const { said, failed, other } = JSON.parse(stdout || stderr);
  assert.equal(said, "you said hello");
  assert.match(failed, /^14 .*BackendNotFound/);
  assert.match(other, /^12 .*WEFT-P-NO-ROUTE/);
});

test("requests of a program that calls through its sidecar as an HTTP proxy are routed, too", { timeout: 60_000 }, async (t) => {
  const { curl } = need(t, "curl") ?? {};
  if (curl === undefined) return;
  await using routed = await RoutedMesh.start();
  const { mesh } = routed;
  for (const name of ["users", "next"]) await mesh.run(name, fixture("replica", 8080, name), unpublished);
  const paths = [
    { matches: [{ path: { type: "PathPrefix", value: "/next" } }], backendRefs: [backend("next")] },
    { matches: [{ path: { type: "PathPrefix", value: "/users" } }], backendRefs: [backend("users")] },
  ];
  await routed.write(httpRoute, "users", route("users", paths));
  const urls = ["http://users/next", "http://users.default/users", "http://next/", "http://users/other"];
  const asked = [curl, "-sS", "-w", "\n", ...urls];
  // One connection carries all of them, and each is for whom it names.
  const member = await mesh.run("asks", ["sh", "-c", '"$@"; exec sleep 600', "sh", ...asked], {
    options: ["--redirect", "proxy"],
    endpoints: 0,
  });
  const answers = await until("all are answered", () => {
    const told = member.running.stdout.trim().split(/\n+/);
    return told.length === urls.length && told;
  });
  assert.deepEqual(answers.slice(0, 3), ["next", "users", "next"]);
  assert.match(answers[3] ?? "", /WEFT-P-NO-ROUTE/);
});

test("what runs outside the mesh is called by the name that a hand-written EndpointSlice gives it, and counted", {
  timeout: 60_000,
}, async (t) => {
  const own = Object.values(networkInterfaces())
    .flat()
    .find((each) => each !== undefined && !each.internal && each.family === "IPv4");
  if (own === undefined && !process.env.CI) return t.skip("this machine has no address but loopback");
  assert.ok(own, "a machine has an address of its own");
  await using routed = await RoutedMesh.start();
  const { mesh } = routed;
  const [port, server] = [await freePort(), createServer((request, response) => response.end(`outside ${request.url}`))];
  await new Promise<void>((listening) => server.listen(port, own.address, listening));
  try {
    await routed.write(service, "legacy", { spec: { ports: [{ port: 80, protocol: "TCP", name: "http" }] } });
    const slice = {
      addressType: "IPv4",
      endpoints: [{ addresses: [own.address], conditions: { ready: true } }],
      ports: [{ name: "http", protocol: "TCP", port }],
    };
    await routed.write(endpointSlice, "legacy-1", slice, { "kubernetes.io/service-name": "legacy" });
    const { stdout, stderr } = await mesh.call("asks", fixture("fetch", "http://legacy/a", "http://legacy.default/b"));
    assert.equal(stdout, "200 outside /a\n200 outside /b\n", stderr);
    const { totals } = await mesh.row("asks", "outbound", (row) => row.totals.requests >= 2);
    assert.equal(totals.requests, 2);
  } finally {
    server.close();
    server.closeAllConnections();
  }
});

import assert from "node:assert/strict";
import { after, before, type TestContext, test } from "node:test";
import { execute, freePort, Mesh, need, Running, until } from "@weft/testkit";
import { cases, interoperability, type Library, libraries } from "./grpc.ts";
import { goPart, nodePart, pythonPart } from "./parts.ts";

// gRPC between programs that know nothing of the mesh, each in its own namespace: see grpc.ts for who asks what.

let mesh: Mesh;
before(async () => {
  mesh = await Mesh.start();
});
after(() => mesh[Symbol.asyncDispose]());

const commands: Record<Library, (t: TestContext, ...args: string[]) => Promise<string[] | undefined>> = {
  grpcio: async (t, ...args) => {
    const parts = need(t, "python-requests");
    return parts && [parts["python-requests"], pythonPart("grpc_part"), ...args];
  },
  "grpc-js": async (_, ...args) => nodePart("grpc", ...args),
  "grpc-go": async (t, ...args) => {
    const parts = need(t, "go");
    return parts && [await goPart(parts.go, "grpc"), ...args];
  },
};

for (const server of libraries) {
  test(`${server} as server`, { timeout: 400_000 }, async (t) => {
    const serving = await commands[server](t, "serve", "50051");
    if (!serving) return;
    await mesh.run(`${server}-server`, serving, { options: ["--port", "50051"] });
    for (const client of libraries) {
      await t.test(client, async (t) => {
        const calling = await commands[client](t, "call", `${server}-server:50051`);
        if (!calling) return;
        const { code, stdout, stderr } = await mesh.call(`${client}-client`, calling, { timeoutMs: 60_000 });
        assert.equal(code, 0, stderr);
        const saw = JSON.parse(stdout);
        for (const { name, what, expected } of cases) await t.test(what, () => assert.deepEqual(saw[name], expected));
      });
    }
    await t.test("the statuses in the trailers are counted", async () => {
      const row = await mesh.row(`${server}-server`, "inbound", ({ totals }) => (totals.grpcStatuses["12"] ?? 0) >= libraries.length);
      assert.equal(row.totals.grpcStatuses["5"], libraries.length);
    });
  });
}

test("the official interoperability cases of grpc-go pass where they pass without a mesh", { timeout: 500_000 }, async (t) => {
  const parts = need(t, "go");
  if (!parts) return;
  const server = await goPart(parts.go, "google.golang.org/grpc/interop/server");
  const client = await goPart(parts.go, "google.golang.org/grpc/interop/client");
  const port = await freePort();
  const bare = new Running(server, ["-port", String(port)]);
  try {
    await mesh.run("interop", [server, "-port", "10000"], { options: ["--port", "10000"] });
    await until(
      "the server without a mesh listens",
      async () => (await execute(client, command("127.0.0.1", port, "empty_unary"))).code === 0,
    );
    let passed = 0;
    for (const [name, options] of Object.entries(interoperability)) {
      const direct = await execute(client, command("127.0.0.1", port, name, options), { timeoutMs: 20_000 });
      if (direct.code !== 0) {
        t.diagnostic(`${name} does not pass without a mesh: ${direct.stderr.trim().split("\n").at(-1)}`);
        continue;
      }
      await t.test(name, async () => {
        const { code, stdout, stderr } = await mesh.call("interop-client", [client, ...command("interop", 10_000, name, options)], {
          timeoutMs: 30_000,
        });
        assert.equal(code, 0, stdout + stderr);
      });
      passed++;
    }
    assert.ok(passed >= 18, `only ${passed} cases pass without a mesh`);
  } finally {
    await bare.stop("SIGKILL");
  }
});

const command = (host: string, port: number, name: string, options: string[] = []) => [
  `-server_host=${host}`,
  `-server_port=${port}`,
  `-test_case=${name}`,
  ...options,
];

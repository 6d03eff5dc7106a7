import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, type TestContext, test } from "node:test";
import { execute, freePort, Mesh, need, portsOf, Running, until } from "@weft/testkit";
import { nodePart, npmParts, pythonPart } from "./parts.ts";
import { type Client, cases, clients, type Server, servers } from "./websocket.ts";

// WebSockets between programs that know nothing of the mesh, each in its own namespace: see websocket.ts for who asks what.

let mesh: Mesh;
before(async () => {
  mesh = await Mesh.start();
});
after(() => mesh[Symbol.asyncDispose]());

const python = (t: TestContext, ...args: string[]) => {
  const parts = need(t, "python-requests");
  return parts && [parts["python-requests"], pythonPart("websocket_part"), ...args];
};

const starts: Record<Server, (t: TestContext) => Promise<string[] | undefined>> = {
  websockets: async (t) => python(t, "serve", "8000"),
  ws: async () => nodePart("websocket-serve", await npmParts(), "8000"),
};

const calls: Record<Client, (t: TestContext, url: string) => string[] | undefined> = {
  websockets: (t, url) => python(t, "call", url),
  node: (_, url) => nodePart("websocket-call", url),
  chromium: (t, url) => {
    const parts = need(t, "chromium");
    return parts && nodePart("websocket-call", url, parts.chromium);
  },
};

for (const server of servers) {
  test(`${server} as server`, { timeout: 300_000 }, async (t) => {
    const command = await starts[server](t);
    if (!command) return;
    await mesh.run(server, command, { options: ["--port", "8000"] });
    for (const client of clients) {
      await t.test(client, async (t) => {
        const calling = calls[client](t, `ws://${server}:8000/`);
        if (!calling) return;
        const { code, stdout, stderr } = await mesh.call(`${client}-client`, calling);
        assert.equal(code, 0, stderr);
        const saw = JSON.parse(stdout);
        assert.ok(Object.keys(saw).length >= cases.length - 2, stdout);
        for (const { name, what, expected } of cases.filter(({ name }) => name in saw)) {
          await t.test(what, () => assert.deepEqual(saw[name], expected));
        }
      });
    }
  });
}

test("Autobahn's cases end as they do without a mesh", { timeout: 400_000 }, async (t) => {
  const parts = need(t, "python-requests", "kosoku");
  if (!parts) return;
  const echo = (port: number) => [pythonPart("websocket_echo"), String(port)];
  // Not its measurements, and not compression, whose thousand cases the mesh carries as any bytes.
  const selection = (process.env.WEFT_LONG ? ["9.*", "12.*", "13.*"] : ["6.*", "9.*", "12.*", "13.*"]).flatMap((id) => ["-x", id]);
  const suite = (where: string, address: string) => [...selection, "-p", "4", "-o", join(mesh.folder, where), address];
  const port = await freePort();
  const beside = new Running(parts["python-requests"], echo(port));
  try {
    await mesh.run("echo", [parts["python-requests"], ...echo(8010)], { options: ["--port", "8010", "--no-publish"] });
    await until("the server without a mesh listens", () => portsOf([beside.pid]).includes(port));
    await execute(parts.kosoku, suite("direct", `127.0.0.1:${port}`), { timeoutMs: 120_000 });
    await mesh.call("autobahn", [parts.kosoku, ...suite("meshed", "echo:8010")], { timeoutMs: 120_000 });
  } finally {
    await beside.stop("SIGKILL");
  }
  const direct = verdicts(join(mesh.folder, "direct"));
  assert.ok(direct.length > 90, `${direct.length} cases were run`);
  assert.deepEqual(verdicts(join(mesh.folder, "meshed")), direct);
});

/**
 * How the cases of a report ended. "NON-STRICT" is what Autobahn calls a good end that may come in two ways: in cases 3 and 4 whether an echo that was sent before the
 * client's error still arrives before the connection ends. Which way it takes is chance, with and without a mesh.
 */
function verdicts(folder: string): string[] {
  const report: Record<string, Record<string, { behavior: string; behaviorClose: string }>> = JSON.parse(
    readFileSync(join(folder, "index.json"), "utf8"),
  );
  return Object.values(report)
    .flatMap((cases) => Object.entries(cases))
    .map(([id, { behavior, behaviorClose }]) => `${id} ${behavior.replace("NON-STRICT", "OK")} ${behaviorClose}`)
    .sort();
}

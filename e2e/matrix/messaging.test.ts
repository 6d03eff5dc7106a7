import assert from "node:assert/strict";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, type TestContext, test } from "node:test";
import { Mesh, need, notRoot } from "@weft/testkit";
import { pairs } from "./messaging.ts";
import { toolsFor } from "./tools.ts";

// Caches and brokers with their own clients: see messaging.ts for what they do.

let mesh: Mesh;
before(async () => {
  mesh = await Mesh.start();
});
after(() => mesh[Symbol.asyncDispose]());

interface Start {
  server: string;
  name: string;
  port: number;
  command: (t: TestContext) => string[] | undefined;
}

const starts: Start[] = [
  {
    server: "Redis",
    name: "redis",
    port: 6379,
    command: (t) => {
      const parts = need(t, "redis-server", "redis-cli", "redis-benchmark");
      return parts && [parts["redis-server"], "--bind", "0.0.0.0", "--protected-mode", "no", "--save", "", "--dir", mesh.folder];
    },
  },
  {
    server: "NATS",
    name: "nats",
    port: 4222,
    command: (t) => {
      const parts = need(t, "nats-server", "python-requests");
      return parts && [parts["nats-server"], "-a", "0.0.0.0", "-p", "4222"];
    },
  },
  {
    server: "Mosquitto",
    name: "mqtt",
    port: 1883,
    command: (t) => {
      const parts = need(t, "mosquitto", "mosquitto_pub", "mosquitto_sub");
      if (!parts) return undefined;
      const folder = join(mesh.folder, "mosquitto");
      mkdirSync(folder);
      chmodSync(folder, 0o777);
      const config = join(folder, "mosquitto.conf");
      writeFileSync(config, "listener 1883 0.0.0.0\nallow_anonymous true\nsys_interval 1\n");
      return [...notRoot(), parts.mosquitto, "-c", config];
    },
  },
];

for (const { server, name, port, command } of starts) {
  test(`${server} as server`, { timeout: 120_000 }, async (t) => {
    const started = command(t);
    if (!started) return;
    await mesh.run(name, started, { options: ["--port", String(port), "--no-publish"] });
    for (const { client, cases } of pairs.filter((pair) => pair.server === server)) {
      for (const { what, run } of cases) await t.test(`${client}: ${what}`, () => run(toolsFor(mesh, `${name}-client`)));
    }
    await t.test("its bytes are counted", async () => {
      const row = await mesh.row(name, "inbound", ({ totals }) => totals.connections.tcp.responseBytes > 100_000);
      assert.deepEqual([row.totals.requests, row.totals.connections.tcp.requestBytes > 100_000], [0, true]);
    });
  });
}

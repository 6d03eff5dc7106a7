import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import { connect } from "node:net";
import { type TestContext, test } from "node:test";
import { pino } from "pino";
import { openMemoryStore } from "../store/memory.ts";
import type { ResourceContext } from "./context.ts";
import { Room } from "./room.ts";
import { type ObjectTarget, targetOf } from "./target.ts";
import { Watches } from "./watch.ts";

// A watch is answered as fast as its reader reads.

async function served(t: TestContext, unreadMs: number) {
  const store = openMemoryStore({ history: { changes: 20 } });
  t.after(() => store.close());
  const context: ResourceContext = {
    stores: { storeFor: () => store, backup: async () => {}, close: async () => {} },
    admit: ({ object }) => object,
    room: new Room(),
    log: pino({ level: "silent" }),
  };
  const watches = new Watches({ unreadMs });
  const target = targetOf("/api/v1/services") as ObjectTarget;
  const responses: ServerResponse[] = [];
  const server = createServer((_request, response) => {
    responses.push(response);
    void watches.serve(context, target, new URLSearchParams(), { response, show: (object) => object, type: "application/json" });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const socket = connect((server.address() as { port: number }).port, "127.0.0.1");
  t.after(() => socket.destroy());
  socket.on("error", () => {});
  socket.write("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
  await once(socket, "data");
  socket.pause();
  const write = (index: number) =>
    store.write({
      verb: "create",
      resource: "services",
      object: {
        apiVersion: "v1",
        kind: "Service",
        metadata: { name: `s${index}`, namespace: "default", annotations: { a: "x".repeat(500_000) } },
      },
    });
  return { socket, write, response: responses[0] as ServerResponse };
}

test("a reader that does not read holds up no write, and costs no more than one event and what its connection holds", async (t) => {
  const { write, response } = await served(t, 60_000);
  for (let index = 0; index < 100; index += 1) await write(index);
  assert.ok(response.writableLength < 4 * 500_000, `${response.writableLength} bytes wait`);
  assert.equal(response.destroyed, false);
});

test("one that reads again in time is told that it missed something", async (t) => {
  const { socket, write } = await served(t, 60_000);
  for (let index = 0; index < 100; index += 1) await write(index);
  let last = "";
  socket.setEncoding("utf8").on("data", (text: string) => {
    last = (last + text).slice(-2000);
  });
  await once(socket.resume(), "end");
  assert.match(last, /"type":"ERROR".*WEFT-C-WATCH-EXPIRED/);
});

test("one that reads nothing for too long is left", async (t) => {
  const { write, response } = await served(t, 100);
  const closed = once(response, "close");
  for (let index = 0; index < 100; index += 1) await write(index);
  await closed;
});

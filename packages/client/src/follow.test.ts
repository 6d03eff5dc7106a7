import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { type Followed, follow } from "./follow.ts";
import { ResourceClient } from "./resources.ts";
import { ApiServer } from "./testing/api-server.ts";
import { socketTransport } from "./transport.ts";

const things = { group: "", version: "v1", kind: "Thing", plural: "things", namespaced: true };

/** What was told so far, in short: `+a`, `~a`, `-a`, `listed`. */
function following(t: TestContext, server: ApiServer) {
  const ending = new AbortController();
  const told: string[] = [];
  const lost: string[] = [];
  const short = (event: Followed) => {
    if (event.type === "listed") return "listed";
    const { name } = event.object.metadata;
    return `${event.type === "delete" ? "-" : event.before === undefined ? "+" : "~"}${name}`;
  };
  const client = new ResourceClient(socketTransport(server.stateDir));
  const done = (async () => {
    for await (const event of follow(client, things, { signal: ending.signal, onLost: ({ code }) => lost.push(code) }))
      told.push(short(event));
  })();
  const stop = () => {
    ending.abort();
    return done;
  };
  t.after(() => ending.abort());
  return { told, lost, stop, done };
}

async function until(what: string, holds: () => boolean): Promise<void> {
  for (const deadline = Date.now() + 10_000; !holds(); await delay(5)) assert.ok(Date.now() < deadline, `${what} within 10 s`);
}

test("what is there is told first, then each change", async (t) => {
  const server = await ApiServer.start(t);
  server.put("a");
  const { told, stop } = following(t, server);
  await until("a watch", () => server.watches === 1);
  server.put("b");
  server.put("a", { size: 2 });
  server.delete("b");
  await until("all is told", () => told.length === 5);
  await stop();
  assert.deepEqual(told, ["+a", "listed", "+b", "~a", "-b"]);
});

test("a watch that is cut off goes on where it was", async (t) => {
  const server = await ApiServer.start(t);
  const { told, lost } = following(t, server);
  await until("a watch", () => server.watches === 1);
  server.put("a");
  await until("a is told", () => told.includes("+a"));
  server.cut();
  server.put("b");
  await until("b is told", () => told.includes("+b"));
  assert.deepEqual(told, ["listed", "+a", "+b"]);
  assert.deepEqual(lost, ["WEFT-L-CONTROLLER-UNREACHABLE"]);
});

test("when the server forgot what happened meanwhile, the objects are compared: changed, gone, made anew", async (t) => {
  const server = await ApiServer.start(t);
  for (const name of ["same", "changed", "gone", "again"]) server.put(name);
  const { told } = following(t, server);
  await until("a watch", () => server.watches === 1);
  await server.close();
  server.put("changed", { size: 2 });
  server.delete("gone");
  server.delete("again");
  server.put("again");
  server.compact();
  server.put("new");
  await server.listen();
  await until("all is told", () => told.length === 10);
  assert.deepEqual(told.slice(0, 5), ["+same", "+changed", "+gone", "+again", "listed"]);
  assert.deepEqual(told.slice(5).toSorted(), ["+again", "+new", "-again", "-gone", "~changed"]);
});

test("a server that is away is waited for, and that is said once", async (t) => {
  const server = await ApiServer.start(t);
  const { told, lost } = following(t, server);
  await until("a watch", () => server.watches === 1);
  await server.close();
  await until("it is noticed", () => lost.length === 1);
  await server.listen();
  server.put("a");
  await until("a is told", () => told.includes("+a"));
  assert.equal(lost.length, 1);
});

test("what cannot be listed at first fails", async (t) => {
  const server = await ApiServer.start(t);
  server.next = { status: 403, body: JSON.stringify({ kind: "Status", reason: "Forbidden", message: "not for you" }) };
  await assert.rejects(following(t, server).done, { message: "not for you" });
});

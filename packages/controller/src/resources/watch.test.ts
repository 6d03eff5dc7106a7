import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { running } from "../testing/controllers.ts";
import { resourceClient } from "../testing/resources.ts";

const services = "/api/v1/namespaces/default/services";

async function client(t: TestContext) {
  const { stateDir } = await running(t);
  const { call, watch } = resourceClient(stateDir);
  const create = async (name: string, labels = {}) =>
    (
      await call("POST", services, {
        body: { apiVersion: "v1", kind: "Service", metadata: { name, labels }, spec: { ports: [{ port: 80 }] } },
      })
    ).body;
  const label = (name: string, labels: object) =>
    call("PATCH", `${services}/${name}`, { type: "application/merge-patch+json", body: { metadata: { labels } } });
  /** Reads so many events of a watch, as `TYPE name`. */
  const read = async (query: string, count: number, during: () => unknown = () => {}) => {
    const events: string[] = [];
    const asked = watch(`${services}?watch=true&${query}`);
    const reading = (async () => {
      for await (const { type, object } of asked) {
        events.push(`${type} ${object.metadata?.name ?? object.code ?? "-"}`);
        if (events.length === count) return;
      }
    })();
    await during();
    await reading;
    return events;
  };
  return { call, watch, create, label, read };
}

test("a watch tells what is there, and what becomes of it", async (t) => {
  const { call, create, label, read } = await client(t);
  await create("a");
  const events = await read("", 4, async () => {
    await create("b");
    await label("a", { x: "y" });
    await call("DELETE", `${services}/b`);
  });
  assert.deepEqual(events, ["ADDED a", "ADDED b", "MODIFIED a", "DELETED b"]);
});

test("a watch goes on from the revision of a list, of an object or of a deletion", async (t) => {
  const { call, create, label, read } = await client(t);
  await create("a");
  const { resourceVersion } = (await call("GET", services)).body.metadata;
  await create("b");
  await label("a", { x: "y" });
  await call("DELETE", `${services}/b`);
  assert.deepEqual((await read(`resourceVersion=${resourceVersion}`, 3)).slice(0, 1), ["ADDED b"]);
  const { body } = await call("GET", `${services}/a`);
  assert.deepEqual(await read(`resourceVersion=${body.metadata.resourceVersion}`, 1), ["DELETED b"]);
});

test("an object that comes to be selected is added, and one that is not selected any more is deleted", async (t) => {
  const { create, label, read } = await client(t);
  await create("a", { app: "shop" });
  await create("b");
  const events = await read("labelSelector=app%3Dshop", 4, async () => {
    await label("b", { app: "shop" });
    await label("b", { tier: "1" });
    await label("a", { app: "bank" });
    await label("a", { app: "mill" });
  });
  assert.deepEqual(events, ["ADDED a", "ADDED b", "MODIFIED b", "DELETED a"]);
});

test("a reader that asks for it is told when it knows everything that was there", async (t) => {
  const { create, watch } = await client(t);
  await create("a");
  const query = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
  const events = watch(`${services}?watch=true&${query}`);
  assert.equal((await events.next()).value?.type, "ADDED");
  const { type, object } = (await events.next()).value ?? {};
  assert.deepEqual([type, object.kind, object.metadata.annotations], ["BOOKMARK", "Service", { "k8s.io/initial-events-end": "true" }]);
  await events.return(undefined);
});

test("a watch ends in its time, and one from a revision that is not known says so", async (t) => {
  const { read } = await client(t);
  assert.deepEqual(await read("timeoutSeconds=1", 1), []);
  assert.deepEqual(await read("resourceVersion=999999", 1), ["ERROR 410"]);
});

test("a watch of tables tells rows", async (t) => {
  const { create, watch } = await client(t);
  await create("a");
  const events = watch(`${services}?watch=true`, { accept: "application/json;as=Table;v=v1;g=meta.k8s.io" });
  const { object } = (await events.next()).value ?? {};
  assert.deepEqual([object.kind, object.rows[0].cells[0]], ["Table", "a"]);
  await events.return(undefined);
});

test("watches are bounded, and a place is free again when one ends", { timeout: 60_000 }, async (t) => {
  const { watch, call, create } = await client(t);
  await create("a");
  const open = Array.from({ length: 192 }, () => watch(`${services}?watch=true`));
  await Promise.all(open.map((each) => each.next()));
  const refused = await call("GET", `${services}?watch=true`);
  assert.deepEqual([refused.code, refused.body.reason], [429, "TooManyRequests"]);
  assert.equal((await call("GET", services)).code, 200, "other calls are answered");
  await Promise.all(open.map((each) => each.return(undefined)));
  for (let code = 429; code === 429; )
    code = (await call("GET", `${services}?watch=true&timeoutSeconds=1&resourceVersion=999999`).catch(() => ({ code: 200 }))).code;
});

import assert from "node:assert/strict";
import { test } from "node:test";
import type { HttpRoute } from "@weft/api/kinds";
import { ResourceType } from "@weft/api/proto";
import { Flow } from "../flow.ts";
import { resources } from "../graph/lists.ts";
import { httpRoute, service, to } from "../graph/testing/objects.ts";
import { Directory } from "../sessions/directory.ts";
import { Session, type Standing } from "../sessions/session.ts";
import { FakeProxy, request, resolve } from "../sessions/testing/fake-proxy.ts";
import { followWritten } from "../sources/store.ts";
import { openMemoryStore } from "../store/memory.ts";
import type { Draft } from "../store/store.ts";
import { eventually } from "../testing/controllers.ts";
import { StatusWriter } from "./writer.ts";

const key = { resource: resources.httpRoutes, namespace: "default", name: "r" };
const route = (backend: string) =>
  httpRoute({ name: "r" }, { parentRefs: [to("users")], rules: [{ backendRefs: [{ name: backend, port: 80 }] }] });

/** A store with Services and a route, what writes statuses, and proxies that follow users. */
async function mesh(t: { after(fn: () => void): void }, proxies: number) {
  const store = openMemoryStore();
  const flow = new Flow();
  const directory = new Directory(flow);
  const aborted = new AbortController();
  const errors: unknown[] = [];
  const sessions: { session: Session; proxy: FakeProxy }[] = [];
  const onError = (error: unknown) => errors.push(error);
  for (const name of ["users", "next"])
    await store.write({ verb: "create", resource: resources.services, object: draft(service({ name }).object) });
  await followWritten({
    store,
    overlays: new Map(),
    addresses: { keepAddress: () => {}, allocateAddress: () => "198.18.0.7", setWritten: () => {} },
    apply: (events) => flow.apply(events),
    later: (events) => flow.later(events),
    gone: () => {},
    onError,
    signal: aborted.signal,
  });
  const standings = function* (resource: string): Generator<[string, Standing]> {
    for (const [index, { session }] of sessions.entries()) {
      const standing = session.standing(resource);
      if (standing !== undefined) yield [`w-${index}`, standing];
    }
  };
  let writes = 0;
  const counted = Object.assign(Object.create(store) as typeof store, {
    write: (write: Parameters<typeof store.write>[0]) => {
      writes += 1;
      return store.write(write);
    },
  });
  const writer = new StatusWriter({ flow, store: counted, standings, onError });
  t.after(() => {
    writer.close();
    aborted.abort();
  });
  for (let index = 0; index < proxies; index += 1) {
    const proxy = new FakeProxy();
    const session = new Session({
      directory,
      namespace: "default",
      isExpecting: () => false,
      wake: () => {},
      rejected: () => {},
      progress: (resource) => writer.progress(resource),
      now: () => performance.now(),
    });
    for (const each of [...proxy.hello(), resolve("users")]) session.receive(request(each));
    sessions.push({ session, proxy });
  }
  /** Lets proxies hear, and answer. */
  const talk = (some = sessions) => {
    for (const { session, proxy } of some) {
      for (let frame = session.next(); frame !== undefined; frame = session.next()) proxy.read(frame);
      for (const each of proxy.answers.splice(0)) session.receive(request(each));
    }
  };
  const conditions = async () => ((await store.get(key))?.status as HttpRoute["status"])?.parents[0]?.conditions ?? [];
  const says = async (type: string) => {
    const found = (await conditions()).find((each) => each.type === type);
    return found === undefined ? "" : `${found.status} ${found.reason}: ${found.message}`;
  };
  return { store, flow, sessions, talk, conditions, says, errors, writes: () => writes };
}

function draft({ metadata: { name, namespace = "" }, status, ...object }: ReturnType<typeof service>["object"]): Draft {
  return { ...object, metadata: { name, namespace } } as Draft;
}

const create = (backend: string) => ({ verb: "create" as const, resource: key.resource, object: draft(route(backend).object) });

test("a route's status says what was found, and on how many proxies it is in force, as they acknowledge it", async (t) => {
  const { store, talk, sessions, says, conditions, errors } = await mesh(t, 3);
  talk();
  await store.write(create("next"));
  await eventually(async () => (await says("weft.dev/Programmed")) === "False Pending: in force on 0 of 3 proxies");
  assert.match(await says("Accepted"), /^True/);
  talk(sessions.slice(0, 2));
  await eventually(async () => (await says("weft.dev/Programmed")) === "False Pending: in force on 2 of 3 proxies");
  talk();
  await eventually(async () => (await says("weft.dev/Programmed")) === "True Programmed: in force on 3 of 3 proxies");
  assert.ok((await conditions()).every(({ observedGeneration }) => observedGeneration === 1));
  assert.deepEqual(errors, []);
});

test("a proxy that refuses a route is named, with its words", async (t) => {
  const { store, talk, sessions, says } = await mesh(t, 2);
  talk();
  for (const { proxy } of sessions.slice(1))
    proxy.refuse = ({ resource }) => (resource?.type === ResourceType.ROUTES ? "too odd" : undefined);
  await store.write(create("next"));
  await eventually(async () => {
    talk();
    return (await says("weft.dev/Programmed")) === "False Rejected: in force on 1 of 2 proxies; refused by w-1: too odd";
  });
});

test("what is missing is said, and that it came", async (t) => {
  const { store, says, conditions } = await mesh(t, 0);
  await store.write(create("gone"));
  await eventually(async () => (await says("ResolvedRefs")).startsWith("False BackendNotFound"));
  await store.write({ verb: "create", resource: resources.services, object: draft(service({ name: "gone" }).object) });
  await eventually(async () => (await says("ResolvedRefs")).startsWith("True"));
  assert.equal((await conditions()).length, 3);
});

test("a change of 500 proxies costs few writes, and the status says that it is in force within 300 ms of the last answer", async (t) => {
  const { store, flow, talk, sessions, says, writes, conditions } = await mesh(t, 500);
  const isInForce = async (generation: number) =>
    (await says("weft.dev/Programmed")) === "True Programmed: in force on 500 of 500 proxies" &&
    (await conditions()).every(({ observedGeneration }) => observedGeneration === generation);
  talk();
  await store.write(create("next"));
  await eventually(() => {
    talk();
    return isInForce(1);
  });
  const before = writes();
  const stored = (await store.get(key)) as ReturnType<typeof service>["object"];
  const applied = new Promise((resolve) => flow.once("applied", resolve));
  await store.write({ verb: "update", resource: key.resource, object: { ...stored, spec: route("users").object.spec } });
  await applied;
  for (let index = 0; index < sessions.length; index += 50) {
    talk(sessions.slice(index, index + 50));
    await new Promise((done) => setImmediate(done));
  }
  const answeredAt = performance.now();
  await eventually(() => isInForce(2));
  assert.ok(performance.now() - answeredAt < 300, `${performance.now() - answeredAt} ms`);
  assert.ok(writes() - before <= 4, `${writes() - before} writes`);
});

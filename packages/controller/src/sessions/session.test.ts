import assert from "node:assert/strict";
import { test } from "node:test";
import { ResourceType } from "@weft/api/proto";
import fc from "fast-check";
import { Flow } from "../flow.ts";
import { httpRoute, type Item, put, remove, service, slice, to } from "../graph/testing/objects.ts";
import { resourceKey } from "../translate/resource.ts";
import { Directory } from "./directory.ts";
import { maxAliases, maxHeld, type Rejected, Session } from "./session.ts";
import { FakeProxy, request, resolve } from "./testing/fake-proxy.ts";

/** A controller's side without streams. */
function controller() {
  const flow = new Flow();
  const directory = new Directory(flow);
  const expected = new Set<string>();
  const rejected: Rejected[] = [];
  let now = 0;
  const connect = (proxy = new FakeProxy(), namespace = "default") => {
    const session = new Session({
      directory,
      namespace,
      isExpecting: (key) => expected.has(key),
      wake: () => {},
      rejected: (each) => rejected.push(each),
      progress: () => {},
      now: () => now,
    });
    for (const each of proxy.hello()) session.receive(request(each));
    return { session, proxy, ...conversation(session, proxy) };
  };
  return { flow, connect, expected, rejected, pass: (ms: number) => (now += ms) };
}

function conversation(session: Session, proxy: FakeProxy) {
  const hear = () => {
    const heard: string[] = [];
    for (let frame = session.next(); frame !== undefined; frame = session.next()) heard.push(...proxy.read(frame).map(inShort));
    return heard.filter((each) => each !== "hello");
  };
  const answer = () => {
    for (const each of proxy.answers.splice(0)) session.receive(request(each));
  };
  /** Hears and answers until nothing more is said. */
  const talk = () => {
    const all: string[] = [];
    for (let heard = hear(); heard.length > 0; heard = hear()) {
      all.push(...heard);
      answer();
    }
    return all;
  };
  const ask = (...aliases: string[]) => {
    for (const alias of aliases) session.receive(request(resolve(alias)));
  };
  return { hear, answer, talk, ask };
}

function inShort({ response }: ReturnType<FakeProxy["read"]>[number]): string {
  if (response.case === "alias") {
    const ports = response.value.routedPorts.map(({ port, routes }) => ` ${port}=${routes}`).join("");
    return `${response.value.alias} -> ${response.value.service || "nothing"}${ports}`;
  }
  if (response.case === "update") {
    const { resource, base, content } = response.value;
    const ids = content.case === "endpoints" ? `: ${content.value.endpoints.map(({ id }) => id)}` : "";
    const gone = content.case === "endpoints" && content.value.removed.length > 0 ? ` without ${content.value.removed}` : "";
    return `${ResourceType[resource?.type ?? 0]} ${resource?.name}${base === "" ? "" : " changed"}${ids}${gone}`;
  }
  return response.case === "removal" ? `no ${ResourceType[response.value.type]} ${response.value.name}` : String(response.case);
}

const endpoints = (of: string, ids: number[], namespace = "default") =>
  slice(of, { name: of, namespace }, { endpoints: ids.map((id) => ({ addresses: [`10.0.0.${id}`] })), ports: [{ port: 8080 }] });
const users = service({ name: "users" }, { clusterIP: "198.18.0.7", ports: [{ port: 80 }] });
const next = service({ name: "next" });
const split = (backends: string[], more: object = {}) =>
  httpRoute({ name: "r" }, { parentRefs: [to("users")], rules: [{ backendRefs: backends.map((name) => ({ name, port: 80 })), ...more }] });

test("an alias comes after what it leads to, and routes after the endpoints that they send requests to", () => {
  const { flow, connect } = controller();
  flow.apply([users, next, endpoints("users", [1]), endpoints("next", [2]), split(["users", "next"])].map(put));
  const { ask, talk, proxy } = connect();
  ask("users", "USERS.default.weft.");
  assert.deepEqual(talk(), [
    "SERVICE users.default",
    "ENDPOINTS users.default: 10.0.0.1",
    "ENDPOINTS next.default: 10.0.0.2",
    "ROUTES users.default:80",
    "users -> users.default 80=users.default:80",
    "USERS.default.weft. -> users.default 80=users.default:80",
  ]);
  assert.deepEqual(proxy.violations, []);
});

test("what does not exist is said at once, and what can never be a service is, too", () => {
  const { connect } = controller();
  const { ask, talk } = connect();
  ask("users", "example.com.more.dots", "198.18.0.9");
  assert.deepEqual(talk(), ["users -> nothing", "example.com.more.dots -> nothing", "198.18.0.9 -> nothing"]);
});

test("an address leads to whatever service has it", () => {
  const { flow, connect } = controller();
  const { ask, talk } = connect();
  ask("198.18.0.7");
  talk();
  flow.apply([put(users)]);
  assert.deepEqual(talk(), ["SERVICE users.default", "ENDPOINTS users.default: ", "198.18.0.7 -> users.default"]);
  flow.apply([remove(users), put(service({ name: "next" }, { clusterIP: "198.18.0.7", ports: [{ port: 80 }] }))]);
  assert.deepEqual(talk(), [
    "SERVICE next.default",
    "ENDPOINTS next.default: ",
    "198.18.0.7 -> next.default",
    "no SERVICE users.default",
    "no ENDPOINTS users.default",
  ]);
});

test("a reader that was slow gets all changes in one, as the difference to what it holds", () => {
  const { flow, connect } = controller();
  flow.apply([put(users), put(endpoints("users", [1, 2, 3, 4]))]);
  const { ask, talk, proxy } = connect();
  ask("users");
  talk();
  for (const id of [5, 6, 7]) flow.apply([put(endpoints("users", [1, 2, 3, id]))]);
  assert.deepEqual(talk(), ["ENDPOINTS users.default changed: 10.0.0.7 without 10.0.0.4"]);
  assert.deepEqual(proxy.violations, []);
});

test("what nothing leads to any more is removed once what took its place is in force", () => {
  const { flow, connect } = controller();
  flow.apply([users, next, endpoints("users", [1]), endpoints("next", [2]), split(["next"])].map(put));
  const { ask, talk, hear, answer, session } = connect();
  ask("users");
  talk();
  flow.apply([put(split(["users"]))]);
  assert.deepEqual(hear(), ["ROUTES users.default:80"]);
  assert.deepEqual(hear(), [], "the proxy may still send requests to next");
  answer();
  assert.deepEqual(hear(), ["no ENDPOINTS next.default"]);
  flow.apply([remove(split(["users"]))]);
  assert.deepEqual(talk(), ["users -> users.default", "no ROUTES users.default:80"]);
  session.receive(request({ case: "release", value: { alias: "users" } }));
  assert.deepEqual(talk(), ["no SERVICE users.default", "no ENDPOINTS users.default"]);
});

test("callers of another namespace have their own routes where there are any", () => {
  const { flow, connect } = controller();
  const consumer = httpRoute(
    { name: "c", namespace: "shop" },
    { parentRefs: [to("users", { namespace: "default" })], rules: [{ backendRefs: [{ name: "users", namespace: "default", port: 80 }] }] },
  );
  flow.apply([users, next, split(["next"]), consumer].map(put));
  const [own, shop, other] = [connect(), connect(new FakeProxy(), "shop"), connect(new FakeProxy(), "other")];
  for (const { ask } of [own, shop, other]) ask("users.default");
  assert.equal(own.talk().at(-1), "users.default -> users.default 80=users.default:80");
  assert.equal(shop.talk().at(-1), "users.default -> users.default 80=users.default:80@shop");
  assert.equal(other.talk().at(-1), "users.default -> users.default 80=users.default:80");
  flow.apply([remove(consumer)]);
  assert.deepEqual(shop.talk(), [
    "ENDPOINTS next.default: ",
    "ROUTES users.default:80",
    "users.default -> users.default 80=users.default:80",
    "no ROUTES users.default:80@shop",
  ]);
});

test("a refused version is held back alone until it changes, and what the proxy holds in its place stays", () => {
  const { flow, connect, rejected } = controller();
  flow.apply([users, next, endpoints("users", [1]), endpoints("next", [2]), split(["next"])].map(put));
  const { ask, talk, proxy, session } = connect();
  ask("users");
  talk();
  const routes = resourceKey(ResourceType.ROUTES, "users.default:80");
  assert.deepEqual(session.standing(routes), { inForce: true });
  proxy.refuse = ({ resource }) => (resource?.type === ResourceType.ROUTES ? "no such thing" : undefined);
  flow.apply([put(split(["users"]))]);
  assert.deepEqual(talk(), ["ROUTES users.default:80"], "and next, to which the routes in force lead, is not removed");
  assert.deepEqual(session.standing(routes), { inForce: false, reason: "no such thing" });
  assert.deepEqual(
    rejected.map(({ name, reason }) => [name, reason]),
    [["users.default:80", "no such thing"]],
  );
  flow.apply([put(endpoints("users", [1, 3, 4]))]);
  assert.deepEqual(talk(), ["ENDPOINTS users.default changed: 10.0.0.3,10.0.0.4"], "the rest goes on");
  proxy.refuse = () => undefined;
  flow.apply([put(split(["users"], { matches: [{ method: "GET" }] }))]);
  assert.deepEqual(talk(), ["ROUTES users.default:80", "no ENDPOINTS next.default"]);
  assert.deepEqual(session.standing(routes), { inForce: true });
});

test("a difference to what a proxy does not hold is sent whole, and is no refusal", () => {
  const { flow, connect, rejected } = controller();
  flow.apply([put(users), put(endpoints("users", [1, 2, 3]))]);
  const { ask, talk, proxy } = connect();
  ask("users");
  talk();
  const held = proxy.held.get("ENDPOINTS users.default");
  assert.ok(held);
  held.version = "another";
  flow.apply([put(endpoints("users", [1, 2, 4]))]);
  assert.deepEqual(talk(), [
    "ENDPOINTS users.default changed: 10.0.0.4 without 10.0.0.3",
    "ENDPOINTS users.default: 10.0.0.1,10.0.0.2,10.0.0.4",
  ]);
  assert.deepEqual(rejected, []);
});

test("who reconnects is told only what differs, and what it holds in vain goes once it has said what it follows", () => {
  const { flow, connect, pass } = controller();
  flow.apply([users, next, endpoints("users", [1, 2, 3]), endpoints("next", [2])].map(put));
  const first = connect();
  first.ask("users", "next");
  first.talk();
  first.session.close();
  first.proxy.aliases.delete("next");
  const again = connect(first.proxy);
  assert.deepEqual(again.talk(), ["users -> users.default"]);
  pass(10_000);
  assert.deepEqual(again.talk(), ["no SERVICE next.default", "no ENDPOINTS next.default"]);
  again.session.close();
  flow.apply([put(endpoints("users", [1, 2, 4]))]);
  assert.deepEqual(connect(first.proxy).talk(), ["ENDPOINTS users.default changed: 10.0.0.4 without 10.0.0.3", "users -> users.default"]);
});

test("who holds endpoints of workloads that are expected back hears nothing until all are, or are waited for no more", () => {
  const { flow, connect, expected } = controller();
  flow.apply([put(users), put(endpoints("users", [1, 2]))]);
  const before = connect();
  before.ask("users", "198.18.0.7");
  before.talk();
  before.session.close();
  flow.apply([remove(users), remove(endpoints("users", [1, 2]))]);
  for (const key of ["users.default", "198.18.0.7"]) expected.add(key);
  const { talk, session } = connect(before.proxy);
  assert.deepEqual(talk(), [], "not that there is no such service");
  flow.apply([put(users)]);
  assert.deepEqual(talk(), [], "nor that it has no endpoint");
  flow.apply([put(endpoints("users", [1]))]);
  assert.deepEqual(talk(), [], "nor that it has fewer");
  flow.apply([put(endpoints("users", [1, 3]))]);
  expected.clear();
  session.arrived();
  assert.deepEqual(talk(), ["ENDPOINTS users.default: 10.0.0.1,10.0.0.3", "198.18.0.7 -> users.default", "users -> users.default"]);
  flow.apply([remove(endpoints("users", [1, 3]))]);
  assert.deepEqual(talk(), ["ENDPOINTS users.default: "], "from then on it hears every change");
});

test("who holds nothing hears of a service that is expected back as soon as it can be called", () => {
  const { flow, connect, expected } = controller();
  expected.add("users.default");
  const { ask, talk } = connect();
  ask("users", "orders");
  assert.deepEqual(talk(), ["orders -> nothing"], "others are answered");
  flow.apply([put(users)]);
  assert.deepEqual(talk(), []);
  flow.apply([put(endpoints("users", [1]))]);
  assert.deepEqual(talk(), ["ENDPOINTS users.default: 10.0.0.1", "SERVICE users.default", "users -> users.default"]);
  flow.apply([put(endpoints("users", [1, 2, 3]))]);
  assert.deepEqual(talk(), ["ENDPOINTS users.default changed: 10.0.0.2,10.0.0.3"]);
});

test("routes wait for backends that are expected back", () => {
  const { flow, connect, expected } = controller();
  expected.add("next.default");
  flow.apply([users, endpoints("users", [1]), next, split(["users", "next"])].map(put));
  const { ask, talk } = connect();
  ask("users");
  assert.deepEqual(talk(), ["SERVICE users.default", "ENDPOINTS users.default: 10.0.0.1"]);
  flow.apply([put(endpoints("next", [2]))]);
  assert.deepEqual(talk(), ["ENDPOINTS next.default: 10.0.0.2", "ROUTES users.default:80", "users -> users.default 80=users.default:80"]);
});

test("what a proxy follows and holds is bounded, and named when it is too long", () => {
  const { connect } = controller();
  const { session } = connect();
  const follow = (alias: string) => session.receive(request(resolve(alias)));
  assert.throws(() => follow("x".repeat(300)), { code: "WEFT-C-STREAM-VIOLATION" });
  for (let index = 0; index < maxAliases; index += 1) follow(`s${index}`);
  assert.throws(() => follow("one-more"), { code: "WEFT-C-TOO-MANY" });
  const held = (count: number, type = ResourceType.SERVICE) =>
    connect().session.receive(
      request({
        case: "held",
        value: { resources: Array.from({ length: count }, (_, index) => ({ type, name: `s${index}`, version: "v" })) },
      }),
    );
  assert.throws(() => held(maxHeld + 1), { code: "WEFT-C-TOO-MANY" });
  assert.throws(() => held(1, 9 as ResourceType), { code: "WEFT-C-STREAM-VIOLATION" });
});

test("the first message is Hello, and there is no second", () => {
  const { connect } = controller();
  assert.throws(() => connect().session.receive(request({ case: "hello", value: {} })), { code: "WEFT-C-STREAM-VIOLATION" });
});

const names = ["users", "next"];
const someService = fc.record({
  name: fc.constantFrom(...names),
  port: fc.constantFrom(80, 81),
  address: fc.constantFrom("198.18.0.7", "198.18.0.8"),
});
const change = fc.oneof(
  someService.map(({ name, port, address }): [Item, boolean] => [service({ name }, { clusterIP: address, ports: [{ port }] }), true]),
  fc.constantFrom(...names).map((name): [Item, boolean] => [service({ name }), false]),
  fc
    .record({ name: fc.constantFrom(...names), ids: fc.uniqueArray(fc.integer({ min: 1, max: 8 })) })
    .map(({ name, ids }): [Item, boolean] => [endpoints(name, ids), true]),
  fc.uniqueArray(fc.constantFrom(...names), { minLength: 1 }).map((backends): [Item, boolean] => [split(backends), true]),
  fc.constant<[Item, boolean]>([split(["users"]), false]),
);
const step = fc.oneof(
  { weight: 4, arbitrary: change.map((value) => ({ change: value })) },
  { weight: 2, arbitrary: fc.constantFrom({ reader: "hears" }, { reader: "answers" }, { reader: "reconnects" }, { reader: "forgets" }) },
  { weight: 1, arbitrary: fc.constantFrom("users", "next.default", "198.18.0.7", "gone").map((alias) => ({ alias })) },
);

test("whatever changes, and whenever the proxy reads, answers or reconnects, it ends up with what a fresh one is told", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const { flow, connect, pass } = controller();
      let mine = connect();
      mine.ask("users");
      for (const each of steps) {
        if ("change" in each) flow.apply([each.change[1] ? put(each.change[0]) : remove(each.change[0])]);
        else if ("alias" in each) mine.ask(each.alias);
        else if (each.reader === "hears") mine.hear();
        else if (each.reader === "answers") mine.answer();
        else if (each.reader === "forgets") mine.proxy.held.delete("ENDPOINTS users.default");
        else {
          mine.session.close();
          mine.proxy.answers.length = 0;
          const { proxy } = mine;
          mine = connect(proxy);
          mine.ask("users");
        }
      }
      // One that lost something hears of it with the next change, or when it reconnects.
      mine.session.close();
      mine.proxy.answers.length = 0;
      const { proxy } = mine;
      mine = connect(proxy);
      mine.ask("users");
      mine.talk();
      pass(10_000);
      mine.talk();
      const fresh = connect();
      fresh.ask("users", ...proxy.aliases.keys());
      fresh.talk();
      assert.deepEqual(proxy.content(), fresh.proxy.content());
      assert.deepEqual(fresh.proxy.violations, []);
    }),
    { numRuns: 300 },
  );
});

test("however it goes without losses, nothing arrives that refers to what is not held", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const { flow, connect } = controller();
      const mine = connect();
      mine.ask("users");
      for (const each of steps) {
        if ("change" in each) flow.apply([each.change[1] ? put(each.change[0]) : remove(each.change[0])]);
        else if ("alias" in each) mine.ask(each.alias);
        else if (each.reader === "hears") mine.hear();
        else mine.answer();
      }
      mine.talk();
      assert.deepEqual(mine.proxy.violations, []);
    }),
    { numRuns: 300 },
  );
});

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { Direction, TapEventSchema, type TapServeResponse, type TapStart } from "@weft/api/proto";
import { Feed, maxWaiting, Room, type Tapped } from "./tap/feed.ts";
import { maxTaps } from "./tap/taps.ts";
import { eventually, running } from "./testing/controllers.ts";
import { FakeSidecar } from "./testing/fake-sidecar.ts";

const started = (received: TapServeResponse[]): TapStart | undefined =>
  received.flatMap(({ response }) => (response.case === "start" ? [response.value] : [])).at(-1);
const stopped = (received: TapServeResponse[]) => received.find(({ response }) => response.case === "stop");
const event = (tapId: bigint, path: string) => ({
  request: { case: "event" as const, value: { tapId, method: "GET", path, status: 200 } },
});

async function connected(t: TestContext, service: string, before?: Awaited<ReturnType<typeof running>>) {
  const { stateDir, controller } = before ?? (await running(t));
  const sidecar = await FakeSidecar.register(stateDir, { service, ports: [{ servicePort: 80, targetPort: 8080 }] });
  await sidecar.certify();
  t.after(() => sidecar.disconnect());
  const stream = sidecar.tap();
  const { taps } = controller;
  await eventually(() => taps.reaches(sidecar.workload.id), "the sidecar's connection");
  return { stateDir, controller, taps, sidecar, stream, id: sidecar.workload.id };
}

async function take(tap: AsyncIterable<Tapped>, count: number): Promise<Tapped[]> {
  const taken: Tapped[] = [];
  for await (const next of tap) if (taken.push(next) === count) break;
  return taken;
}

const said = (tapped: Tapped[]) => tapped.map((each) => (each.kind === "event" ? each.event.path : `${each.requests} ${each.error}`));

test("a tap starts at the sidecars that it names, gives their events, and stops there when its reader leaves", async (t) => {
  const users = await connected(t, "users");
  const web = await connected(t, "web", users);
  const tap = users.taps.start({ direction: Direction.INBOUND, pathPrefix: "/a" }, (workload) => workload === users.id);
  const { tapId, pathPrefix, direction } = await users.stream.until(started);
  assert.deepEqual([pathPrefix, direction], ["/a", Direction.INBOUND]);
  users.stream.sent.push(event(tapId, "/a1"));
  users.stream.sent.push(event(tapId, "/a2"));
  const tapped = await take(tap, 2);
  assert.deepEqual(
    tapped.map((each) => each.kind === "event" && [each.workload, each.event.path]),
    [
      [users.id, "/a1"],
      [users.id, "/a2"],
    ],
  );
  await users.stream.until(stopped);
  const last = users.taps.start({ pathPrefix: "/last" }, () => true);
  t.after(last.stop);
  await web.stream.until((received) => (started(received)?.pathPrefix === "/last" ? true : undefined));
  assert.equal(web.stream.received.filter(({ response }) => response.case === "start").length, 1);
});

test("a sidecar that connects later serves the taps that run", async (t) => {
  const first = await connected(t, "users");
  const tap = first.taps.start({}, () => true);
  t.after(tap.stop);
  await first.stream.until(started);
  const second = await connected(t, "users", first);
  const { tapId } = await second.stream.until(started);
  second.stream.sent.push(event(tapId, "/late"));
  assert.deepEqual(said(await take(tap, 1)), ["/late"]);
});

test("what a slow reader does not take is counted, together with what the sidecar did not send", async (t) => {
  const { taps, stream } = await connected(t, "users");
  const tap = taps.start({}, () => true);
  const { tapId } = await stream.until(started);
  for (let index = 0; index < maxWaiting + 5; index++) stream.sent.push(event(tapId, `/${index}`));
  stream.sent.push({ request: { case: "dropped", value: { tapId, events: 7n, error: "WEFT-P-X" } } });
  const marker = taps.start({ pathPrefix: "/marker" }, () => true);
  const { tapId: markerId } = await stream.until((received) =>
    started(received)?.pathPrefix === "/marker" ? started(received) : undefined,
  );
  stream.sent.push(event(markerId, "/marker"));
  await take(marker, 1);
  const tapped = said(await take(tap, maxWaiting + 1));
  assert.deepEqual([tapped[0], tapped.at(-2), tapped.at(-1)], ["/0", `/${maxWaiting - 1}`, "12 WEFT-P-X"]);
});

test("events wait only as long as there is room for what programs put into them", async () => {
  const feed = new Feed();
  const value = "a".repeat(1024 * 1024);
  for (let index = 0; index < 9; index++) feed.event("w", create(TapEventSchema, { requestFields: [{ name: "", value }] }));
  const tapped = [];
  for await (const next of feed.read()) {
    tapped.push(next.kind === "event" ? "event" : next.requests);
    if (next.kind === "dropped") feed.stop();
    if (tapped.length === 8) feed.event("w", create(TapEventSchema, {}));
  }
  assert.deepEqual(tapped, [...Array(8).fill("event"), "event", 1]);
});

test("taps whose readers stand still hold little together, and leave room to one that reads", async () => {
  const room = new Room();
  const value = "a".repeat(8 * 1024);
  const event = () => create(TapEventSchema, { requestFields: [{ name: "n", value }] });
  const still = Array.from({ length: maxTaps - 1 }, () => new Feed(room));
  for (let index = 0; index < maxWaiting; index++) for (const feed of still) feed.event("w", event());
  const waiting = async (feed: Feed) => {
    const tapped: Tapped[] = [];
    for await (const next of feed.read()) {
      tapped.push(next);
      if (next.kind === "dropped") break;
    }
    return tapped.length - 1;
  };
  const reading = new Feed(room);
  for (let index = 0; index < 50; index++) reading.event("w", event());
  reading.drop("w", 1);
  assert.equal(await waiting(reading), 50);
  const held = (await Promise.all(still.map(waiting))).reduce((sum, count) => sum + count, 0);
  assert.ok(held * value.length < 16 * 1024 * 1024, `${held} events wait`);
  const alone = new Feed(room);
  for (let index = 0; index < 800; index++) alone.event("w", event());
  alone.drop("w", 1);
  assert.equal(await waiting(alone), 800, "what others gave back is there for one");
});

test("a reader's tap ends when it is stopped, and events that come after it go nowhere", async (t) => {
  const { taps, stream, id } = await connected(t, "users");
  const tap = taps.start({}, () => true);
  const { tapId } = await stream.until(started);
  const reading = take(tap, 1);
  tap.stop();
  assert.deepEqual(await reading, []);
  stream.sent.push(event(tapId, "/late"));
  assert.equal(taps.reaches(id), true);
});

test("there are only so many taps at a time", async (t) => {
  const { taps } = (await running(t)).controller;
  const all = Array.from({ length: maxTaps }, () => taps.start({}, () => true));
  assert.throws(() => taps.start({}, () => true), { code: "WEFT-C-TOO-MANY" });
  all[0]?.stop();
  all[0]?.stop();
  taps.start({}, () => true).stop();
});

test("a stream without a credential is refused", async (t) => {
  const { stateDir } = await running(t);
  const sidecar = await FakeSidecar.register(stateDir);
  t.after(() => sidecar.disconnect());
  assert.match(String(await sidecar.tap().ended), /WEFT-C-CREDENTIAL-REFUSED/);
});

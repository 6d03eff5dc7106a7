import assert from "node:assert/strict";
import { test } from "node:test";
import { edge, live, service, traffic } from "./example.ts";
import { nothingKnown, phaseOf, staleAfterMs } from "./phase.ts";

const now = 1_000_000;
const busy = live({ services: [service("a"), service("b")], edges: [edge("a", "b")] });

test("before the first event there is no data", () => {
  assert.equal(phaseOf(nothingKnown, now), "no data");
});

test("events with traffic are live, events without any are idle", () => {
  assert.equal(phaseOf({ live: busy, seenAt: now, connected: true }, now), "live");
  assert.equal(phaseOf({ live: live(), seenAt: now, connected: true }, now), "idle");
  assert.equal(phaseOf({ live: live({ edges: [edge("a", "b", traffic(0))] }), seenAt: now, connected: true }, now), "idle");
});

test("what is shown is stale as soon as the connection is lost, or when nothing comes for a while", () => {
  assert.equal(phaseOf({ live: busy, seenAt: now, connected: false }, now), "stale");
  assert.equal(phaseOf({ live: busy, seenAt: now, connected: true }, now + staleAfterMs), "live");
  assert.equal(phaseOf({ live: busy, seenAt: now, connected: true }, now + staleAfterMs + 1), "stale");
});

test("a refusal is said even when old data is there", () => {
  assert.equal(phaseOf({ live: busy, seenAt: now, connected: false, refusal: { message: "no", hint: "" } }, now), "refused");
});

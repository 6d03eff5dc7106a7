import assert from "node:assert/strict";
import { test } from "node:test";
import { checks } from "./checks.ts";
import type { Facts, WorkloadFacts } from "./facts.ts";

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;
const now = Date.parse("2026-11-22T12:00:00Z");

const workload: WorkloadFacts = {
  id: "w-1",
  service: "users",
  state: "live",
  registeredAt: now - hour,
  version: "0.1.0",
  lacks: [],
  certificateEnds: now + 20 * hour,
  skewMs: -3,
  silentPorts: [],
  unpublished: [],
  restarts: 0,
  lastEnd: null,
  baseMismatches: 0,
  updatesRejected: 0,
  trustBehind: false,
  reportsLost: 0,
  portsUnreadable: "",
};
const healthy: Facts = {
  now,
  version: "0.1.0",
  root: { from: now - day, to: now + 3650 * day, folder: "/s/ca" },
  trouble: undefined,
  workloads: [workload],
  rejections: { count: 0, last: undefined },
  malformed: 0,
  refusals: [],
  errors: { count: 0, last: "" },
};

/** The one check that is not ok. */
function found(change: Partial<Facts>) {
  const wrong = checks({ ...healthy, ...change }).filter(({ status }) => status !== "ok");
  assert.equal(wrong.length, 1, JSON.stringify(wrong));
  return wrong[0] as (typeof wrong)[number];
}
const foundIn = (change: Partial<WorkloadFacts>) => found({ workloads: [{ ...workload, ...change }] });

test("a healthy mesh, and one without workloads, passes every check", () => {
  for (const facts of [healthy, { ...healthy, workloads: [] }]) {
    for (const check of checks(facts)) assert.deepEqual([check.status, check.why, check.action], ["ok", "", ""], check.name);
  }
});

test("a registry that cannot be written fails with its code, since when, and that running workloads go on", () => {
  const { name, status, what, why, action } = found({ trouble: { message: "database or disk is full", since: now - minute } });
  assert.deepEqual([name, status], ["registry", "fail"]);
  assert.match(what, /2026-11-22T11:59.*WEFT-C-REGISTRY-UNWRITABLE/);
  assert.match(why, /disk is full.*go on/);
  assert.match(action, /Free space/);
});

test("a root that is not valid now fails, and one that ends within a month warns", () => {
  assert.equal(found({ root: { ...healthy.root, from: now + hour } }).status, "fail");
  assert.equal(found({ root: { ...healthy.root, to: now - hour } }).status, "fail");
  assert.match(found({ root: { ...healthy.root, to: now + 10 * day } }).action, /\/s\/ca/);
});

test("a sidecar without the newest trust bundle fails: it may accept who was removed", () => {
  const { name, status, what, why } = foundIn({ trustBehind: true });
  assert.deepEqual([name, status], ["trust", "fail"]);
  assert.match(what, /users \(w-1\)/);
  assert.match(why, /removed/);
});

test("a clock that is off by more than certificates cover fails, by less warns, and whose it is is said", () => {
  assert.equal(foundIn({ skewMs: 10_000 }).status, "warn");
  const ahead = foundIn({ skewMs: -day });
  assert.deepEqual([ahead.name, ahead.status], ["clocks", "fail"]);
  assert.match(ahead.what, /24\.0 h ahead of that of users \(w-1\)/);
  assert.match(ahead.why, /^All sidecars say so: the controller's clock is wrong/);
  const one = found({ workloads: [workload, { ...workload, id: "w-2", skewMs: 5 * minute }] });
  assert.match(one.what, /5 min behind that of users \(w-2\)/);
  assert.doesNotMatch(one.why, /All sidecars/);
});

test("a workload without a sidecar fails, unless it has just been started", () => {
  assert.equal(foundIn({ state: "starting", registeredAt: now - 1_000 }).status, "warn");
  assert.equal(foundIn({ state: "starting" }).status, "fail");
  assert.match(foundIn({ state: "away" }).what, /users \(w-1\), away/);
});

test("a certificate that expired fails, and one that should have been renewed warns", () => {
  assert.equal(foundIn({ certificateEnds: now - 1 }).status, "fail");
  assert.equal(foundIn({ certificateEnds: now + 5 * hour }).status, "warn");
});

test("restarts of the last ten minutes warn, with their number and the last reason", () => {
  const lastEnd = { reason: "signal 9", atMs: now - minute };
  const { status, what, action } = foundIn({ restarts: 3, lastEnd });
  assert.equal(status, "warn");
  assert.match(what, /users \(w-1\) 3 times.*signal 9/);
  assert.match(action, /weft logs w-1/);
  const old = checks({ ...healthy, workloads: [{ ...workload, restarts: 3, lastEnd: { reason: "signal 9", atMs: now - hour } }] });
  assert.match(old.find(({ name }) => name === "restarts")?.what ?? "", /3 times.*none in the last ten minutes/);
});

test("sidecars of another version, silent ports, taken ports, updates, refusals and errors warn and name what they are about", () => {
  assert.match(foundIn({ version: "0.0.9", lacks: ["routes"] }).what, /users \(w-1\) 0\.0\.9, without routes/);
  assert.match(foundIn({ silentPorts: [8080] }).what, /users \(w-1\) on 8080/);
  assert.match(foundIn({ unpublished: [8080] }).what, /8080 of users \(w-1\)/);
  assert.match(foundIn({ baseMismatches: 2 }).what, /^2 updates were lost/);
  assert.match(foundIn({ reportsLost: 3 }).what, /3 reports were refused and are lost/);
  const unreadable = foundIn({ portsUnreadable: "No buffer space available", silentPorts: [8080] });
  assert.match(unreadable.what, /users \(w-1\): No buffer space available/);
  const last = { workload: "w-1", name: "web.default", reason: "no such port" };
  assert.match(found({ rejections: { count: 1, last } }).what, /1 were refused.*w-1 refused "web\.default": no such port/);
  const refusal = {
    service: "users.default",
    address: "127.0.0.1",
    reason: "WEFT-P-PEER-NO-CERTIFICATE",
    count: 2,
    detail: "it showed none",
  };
  assert.match(found({ refusals: [refusal] }).what, /2; most often by users\.default.*it showed none/);
  assert.match(found({ errors: { count: 1, last: "internal error" } }).what, /1 error since.*internal error/);
});

test("many of a kind are counted, not listed", () => {
  const many = Array.from({ length: 300 }, (_, index) => ({ ...workload, id: `w-${index}`, state: "away" as const }));
  assert.match(found({ workloads: many }).what, /w-4\), away and 295 more/);
});

test("sidecars that ran short of room for connections warn for themselves, and are no refused connections", () => {
  const short = {
    service: "users.default",
    address: "127.0.0.1",
    reason: "WEFT-P-OUT-OF-DESCRIPTORS",
    count: 3,
    detail: "7 sockets could not be had",
  };
  const { name, status, what, why, action } = found({ refusals: [short, { ...short, service: "web.default", count: 1 }] });
  assert.deepEqual([name, status], ["room for connections", "warn"]);
  assert.match(what, /users\.default, web\.default.*7 sockets could not be had \(WEFT-P-OUT-OF-DESCRIPTORS\)/);
  assert.match(why, /limit of open files/);
  assert.match(action, /ulimit -Hn/);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import type { TapQuery } from "@weft/api";
import { Direction } from "@weft/api/proto";
import fc from "fast-check";
import { isShownByCaller, type Member, planTap } from "./plan.ts";

const members: Member[] = [
  { id: "w-web", service: "web.default", reachable: true },
  { id: "w-users-1", service: "users.default", reachable: true },
  { id: "w-users-2", service: "users.default", reachable: true },
];
const plan = (query: TapQuery, of = members) =>
  planTap(query, of).map(({ filter, wants }) => ({
    direction: filter.direction ?? Direction.UNSPECIFIED,
    peers: filter.peers ?? [],
    wanted: of.filter(wants).map(({ id }) => id),
  }));
const everybody = members.map(({ id }) => id);

test("everything is seen by the callers' sidecars alone", () => {
  assert.deepEqual(plan({}), [{ direction: Direction.OUTBOUND, peers: [], wanted: everybody }]);
  assert.deepEqual(plan({ to: "users.default" }), [{ direction: Direction.OUTBOUND, peers: ["users.default"], wanted: everybody }]);
  assert.deepEqual(plan({ from: "web.default" }), [{ direction: Direction.OUTBOUND, peers: [], wanted: ["w-web"] }]);
});

test("the calls of one whose sidecar cannot be asked are seen by the called's", () => {
  const silent = members.map((member) => ({ ...member, reachable: member.id !== "w-web" }));
  assert.deepEqual(plan({ to: "users.default" }, silent), [
    { direction: Direction.OUTBOUND, peers: ["users.default"], wanted: everybody },
    { direction: Direction.INBOUND, peers: ["web.default"], wanted: ["w-users-1", "w-users-2"] },
  ]);
  assert.deepEqual(plan({ from: "gone.default" })[1]?.peers, ["gone.default"]);
});

test("a service and a workload are seen by their own sidecars, in both directions", () => {
  assert.deepEqual(plan({ service: "users.default" }), [
    { direction: Direction.UNSPECIFIED, peers: [], wanted: ["w-users-1", "w-users-2"] },
  ]);
  assert.deepEqual(plan({ service: "users.default", workload: "w-users-2" })[0]?.wanted, ["w-users-2"]);
  assert.deepEqual(plan({ service: "users.default", to: "db.default" })[0]?.direction, Direction.OUTBOUND);
  assert.deepEqual(plan({ service: "users.default", from: "web.default", to: "users.default" }), [
    { direction: Direction.INBOUND, peers: ["web.default"], wanted: ["w-users-1", "w-users-2"] },
  ]);
});

test("calls that cannot pass the target are refused", () => {
  assert.throws(() => plan({ service: "users.default", from: "web.default", to: "db.default" }), { code: "WEFT-C-QUERY-INVALID" });
});

test("what is asked of a request reaches every sidecar", () => {
  const [leg] = planTap({ method: "get", path: "/a", status: "5xx", header: ["X-A", "b=c"], maxRps: 7, fields: true }, members);
  const { direction: _, peers: __, ...filter } = leg?.filter ?? {};
  assert.deepEqual(filter, {
    method: "GET",
    pathPrefix: "/a",
    minStatus: 500,
    maxStatus: 599,
    fields: [{ name: "x-a" }, { name: "b", value: "c" }],
    maxEventsPerSecond: 7,
    withFields: true,
    withSecrets: false,
  });
  assert.throws(() => planTap({ status: "six" }, members), { code: "WEFT-C-QUERY-INVALID" });
  assert.throws(() => planTap({ header: ["a b"] }, members), { code: "WEFT-C-QUERY-INVALID" });
});

test("every call within the mesh is seen by exactly one side, whichever sidecars can be asked", () => {
  const services = ["a.default", "b.default", "c.default"];
  const mesh = fc
    .tuple(...services.map(() => fc.boolean()))
    .map((reach) => services.map((service, index): Member => ({ id: `w-${index}`, service, reachable: reach[index] as boolean })));
  fc.assert(
    fc.property(mesh, fc.constantFrom(...services), fc.constantFrom(...services), (of, from, to) => {
      const legs = planTap({}, of);
      const [caller, called] = [of.find(({ service }) => service === from), of.find(({ service }) => service === to)] as [Member, Member];
      const sees = (member: Member, direction: Direction, peer: string) =>
        member.reachable &&
        legs.some(({ filter: { direction: seen, peers = [] }, wants }) => {
          const fits = seen === direction && (peers.length === 0 || peers.includes(peer));
          return fits && wants(member);
        });
      const byCaller = sees(caller, Direction.OUTBOUND, to);
      const byCalled = sees(called, Direction.INBOUND, from) && !isShownByCaller(legs, { from, to }, of);
      assert.equal(Number(byCaller) + Number(byCalled), caller.reachable || called.reachable ? 1 : 0);
    }),
  );
});

test("a call of an anonymous caller, which comes in by a sidecar of the called, is seen once", () => {
  const of: Member[] = [
    { id: "w-0", service: "a.default", reachable: true },
    { id: "w-1", service: "b.default", reachable: true },
  ];
  const call = { from: "anonymous", to: "a.default" };
  assert.equal(isShownByCaller(planTap({}, of), call, of), true);
  assert.equal(isShownByCaller(planTap({ service: "a.default" }, of), call, of), true);
  assert.equal(isShownByCaller(planTap({ from: "anonymous" }, of), call, of), false);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { inShort, made } from "../testing/make.ts";
import { type Item, service, slice } from "../testing/objects.ts";
import { endpointsView } from "./endpoints.ts";

const twoPorts = service(
  { name: "users" },
  {
    ports: [
      { port: 80, name: "http" },
      { port: 9090, name: "metrics" },
    ],
  },
);
const of = (...slices: Item[]) => made([twoPorts, ...slices], endpointsView, "users.default");
const ports = [
  { name: "metrics", port: 9100 },
  { name: "http", port: 8080 },
];
const pod = (uid: string, addresses: string[], more: object = {}) => ({ addresses, targetRef: { kind: "Pod", name: uid, uid }, ...more });

test("an endpoint has a port of its own for each Service port, zone, hints and state", () => {
  const endpoint = pod("a", ["10.0.0.1"], { zone: "z1", hints: { forZones: [{ name: "z2" }, { name: "z1" }] } });
  assert.deepEqual(of(slice("users", { name: "s" }, { ports, endpoints: [endpoint] })).value, [
    {
      id: "a",
      addresses: ["10.0.0.1"],
      ports: [
        { port: 80, targetPort: 8080 },
        { port: 9090, targetPort: 9100 },
      ],
      ready: true,
      serving: true,
      terminating: false,
      zone: "z1",
      forZones: ["z1", "z2"],
    },
  ]);
});

test("conditions that are not given are as Kubernetes says", () => {
  const cases: [conditions: object | undefined, ready: boolean, serving: boolean, terminating: boolean][] = [
    [undefined, true, true, false],
    [{}, true, true, false],
    [{ ready: false }, false, false, false],
    [{ ready: false, serving: true, terminating: true }, false, true, true],
  ];
  for (const [conditions, ready, serving, terminating] of cases) {
    const endpoint = pod("a", ["10.0.0.1"], conditions === undefined ? {} : { conditions });
    const [only] = of(slice("users", { name: "s" }, { ports, endpoints: [endpoint] })).value ?? [];
    assert.deepEqual([only?.ready, only?.serving, only?.terminating], [ready, serving, terminating], JSON.stringify(conditions));
  }
});

test("an instance in several slices is one: its addresses of both families, and what one of them knows", () => {
  const six = slice(
    "users",
    { name: "six" },
    {
      addressType: "IPv6",
      ports: [{ name: "http", port: 8080 }],
      endpoints: [pod("a", ["fd00::1"]), pod("b", ["fd00::2"], { conditions: { ready: false } })],
    },
  );
  const four = slice(
    "users",
    { name: "four" },
    { ports, endpoints: [pod("a", ["10.0.0.1"], { conditions: { ready: false } }), pod("b", ["10.0.0.2"])] },
  );
  const { value } = of(six, four);
  assert.deepEqual(
    value?.map(({ id, addresses, ready, ports }) => [id, addresses, ready, ports.length]),
    [
      ["a", ["10.0.0.1", "fd00::1"], true, 2],
      ["b", ["10.0.0.2", "fd00::2"], true, 2],
    ],
  );
  assert.deepEqual(of(four, six).value, value);
});

test("a hand-written slice gives a name to what runs outside the mesh", () => {
  const database = service({ name: "db" }, { ports: [{ port: 5432 }] });
  const outside = slice("db", { name: "by-hand" }, { ports: [{ port: 5433 }], endpoints: [{ addresses: ["192.0.2.7"] }] });
  const { value } = made([database, outside, twoPorts], endpointsView, "db.default");
  assert.deepEqual(
    value?.map(({ id, ports }) => [id, ports]),
    [["192.0.2.7", [{ port: 5432, targetPort: 5433 }]]],
  );
});

test("slices count in their own namespace, and only with a Service", () => {
  const elsewhere = slice("users", { name: "s", namespace: "shop" }, { ports, endpoints: [pod("a", ["10.0.0.1"])] });
  assert.deepEqual(of(elsewhere).value, []);
  assert.equal(made([elsewhere], endpointsView, "users.shop").value, undefined);
});

test("what nobody calls is said", () => {
  const names = slice("users", { name: "s" }, { addressType: "FQDN", ports, endpoints: [{ addresses: ["db.example.com"] }] });
  assert.deepEqual([of(names).value, inShort(of(names))], [[], ["addressType NotYet"]]);
  const otherPorts = of(
    slice(
      "users",
      { name: "s" },
      {
        ports: [
          { name: "web", port: 1 },
          { name: "http", port: 2, protocol: "UDP" },
        ],
        endpoints: [pod("a", ["10.0.0.1"])],
      },
    ),
  );
  assert.deepEqual([otherPorts.value?.[0]?.ports, inShort(otherPorts)], [[], ["ports NoMatchingPort"]]);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { made } from "../testing/make.ts";
import { service, slice, workload } from "../testing/objects.ts";
import { addressView } from "./address.ts";
import { endpointsView } from "./endpoints.ts";

const users = service({ name: "users" }, { clusterIP: "198.18.0.7", ports: [{ port: 80 }] });
const running = (status: object = {}, name = "w-1") =>
  workload({ name }, { service: "users" }, { ports: [{ servicePort: 80, targetPort: 8080 }], listening: [8080], ...status });
const endpoints = (...items: Parameters<typeof made>[0]) => made([users, ...items], endpointsView, "users.default").value;

test("a workload is called by its sidecar, at the port that its program listens on", () => {
  assert.deepEqual(endpoints(running()), [
    {
      id: "w-1",
      addresses: ["127.0.0.1"],
      ports: [{ port: 80, targetPort: 8080 }],
      ready: true,
      serving: true,
      terminating: false,
      zone: undefined,
      forZones: [],
      sidecar: { address: "127.0.0.1", port: 30_000, identity: "spiffe://weft.local/ns/default/sa/users" },
    },
  ]);
});

test("a program that does not listen, or whose sidecar has not come yet, is no endpoint; one that is away is not ready", () => {
  assert.deepEqual(endpoints(running({ listening: [9090] })), []);
  assert.deepEqual(endpoints(running({ listening: undefined })), []);
  assert.deepEqual(endpoints(running({ sidecar: undefined })), []);
  assert.equal(endpoints(running({ listening: undefined, redirection: { way: "proxy" } }))?.length, 1, "declared ports are believed there");
  assert.deepEqual(
    endpoints(running({ conditions: [] }))?.map(({ ready }) => ready),
    [false],
  );
});

test("a Service that names the program's port means that one", () => {
  const named = service({ name: "users" }, { ports: [{ port: 81, targetPort: 8080 }] });
  assert.deepEqual(made([named, running()], endpointsView, "users.default").value?.[0]?.ports, [{ port: 81, targetPort: 8080 }]);
});

test("workloads and slices stand beside each other", () => {
  const plain = slice("users", { name: "s" }, { endpoints: [{ addresses: ["10.0.0.1"] }], ports: [{ port: 5000 }] });
  assert.deepEqual(
    endpoints(running(), plain)?.map(({ id, sidecar }) => [id, sidecar !== undefined]),
    [
      ["10.0.0.1", false],
      ["w-1", true],
    ],
  );
});

test("an address of a Service, and a port that a workload published, lead to the Service", () => {
  const all = [users, running({ published: [8080] })];
  assert.equal(made(all, addressView, "198.18.0.7").value, "users.default");
  assert.equal(made(all, addressView, "127.0.0.1:8080").value, "users.default");
  assert.equal(made(all, addressView, "127.0.0.1:8081").value, undefined);
});

test("an address that two Services have leads to the older one", () => {
  const later = service({ name: "a", creationTimestamp: "2026-11-02T00:00:00Z" }, { clusterIP: "198.18.0.7", ports: [{ port: 80 }] });
  assert.equal(made([users, later], addressView, "198.18.0.7").value, "users.default");
});

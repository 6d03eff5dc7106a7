import assert from "node:assert/strict";
import { test } from "node:test";
import { inShort, made } from "../testing/make.ts";
import { service } from "../testing/objects.ts";
import { serviceView } from "./service.ts";

const of = (spec: object) => made([service({ name: "users" }, spec)], serviceView, "users.default");

test("a Service has its addresses, and its ports in order", () => {
  const ports = [
    { port: 8080, name: "more" },
    { port: 80, name: "http" },
  ];
  assert.deepEqual(of({ ports, clusterIP: "10.1.0.1", clusterIPs: ["10.1.0.1", "fd00::1"] }).value, {
    namespace: "default",
    name: "users",
    addresses: ["10.1.0.1", "fd00::1"],
    ports: [
      { port: 80, name: "http", protocol: "http1" },
      { port: 8080, name: "more", protocol: undefined },
    ],
  });
  assert.deepEqual(of({ ports, clusterIP: "10.1.0.1" }).value?.addresses, ["10.1.0.1"]);
  assert.deepEqual(of({ clusterIP: "None" }).value?.addresses, []);
  assert.equal(made([], serviceView, "users.default").value, undefined);
});

test("what a port speaks is what appProtocol says, else what its name begins with, else it is detected", () => {
  const cases: [name: string, appProtocol: string | undefined, protocol: string | undefined][] = [
    ["web", undefined, undefined],
    ["http", undefined, "http1"],
    ["http-metrics", undefined, "http1"],
    ["httpx", undefined, undefined],
    ["http2-api", undefined, "http2"],
    ["grpc", undefined, "http2"],
    ["tcp-db", undefined, "tcp"],
    ["https", undefined, "tcp"],
    ["constructor", undefined, undefined],
    ["http", "grpc", "http2"],
    ["web", "HTTP", "http1"],
    ["web", "kubernetes.io/h2c", "http2"],
    ["web", "kubernetes.io/wss", "tcp"],
    ["http", "example.com/own", undefined],
  ];
  for (const [name, appProtocol, protocol] of cases) {
    const port = { port: 80, name, ...(appProtocol === undefined ? {} : { appProtocol }) };
    assert.equal(of({ ports: [port] }).value?.ports[0]?.protocol, protocol, `${name} ${appProtocol}`);
  }
});

test("what is not carried yet is said", () => {
  const udp = of({
    ports: [
      { port: 53, name: "dns", protocol: "UDP" },
      { port: 80, name: "http" },
    ],
  });
  assert.deepEqual([udp.value?.ports.map(({ port }) => port), inShort(udp)], [[80], ["spec.ports[0] NotYet"]]);
  const kept = of({ ports: [{ port: 80 }], sessionAffinity: "ClientIP", internalTrafficPolicy: "Local" });
  assert.deepEqual(inShort(kept), ["spec.sessionAffinity NotYet", "spec.internalTrafficPolicy NotYet"]);
  const external = of({ type: "ExternalName", externalName: "db.example.com", ports: [{ port: 80 }] });
  assert.deepEqual([external.value?.ports, inShort(external)], [[], ["spec.type NotYet"]]);
});

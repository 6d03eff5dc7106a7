import assert from "node:assert/strict";
import { test } from "node:test";
import { ApiClient } from "@weft/api";
import type { Service, Workload } from "@weft/api/kinds";
import { resources } from "../graph/lists.ts";
import type { Draft, StoredObject } from "../store/store.ts";
import { eventually, running } from "../testing/controllers.ts";
import { isManaged } from "./managed.ts";

const key = { resource: resources.services, namespace: "default", name: "users" };
const written = (spec: object): Draft => ({ apiVersion: "v1", kind: "Service", metadata: { namespace: "default", name: "users" }, spec });
const specOf = (object: StoredObject | undefined) => (object as unknown as Service | undefined)?.spec;

test("what runs stands in the stores: a Workload, and a Service until the last member goes", async (t) => {
  const { stateDir, controller } = await running(t);
  const api = new ApiClient(stateDir);
  const ports = [{ servicePort: 80, targetPort: 8080, protocol: "http2" as const }];
  const { id, virtualAddress } = await api.registerWorkload({ service: "users", ports, pid: 1 });
  const store = controller.stores.storeFor(resources.services);
  await eventually(async () => (await store.get(key)) !== undefined);
  const service = (await store.get(key)) as StoredObject;
  assert.ok(isManaged(service));
  assert.equal(specOf(service)?.clusterIP, virtualAddress);
  assert.deepEqual(
    specOf(service)?.ports?.map(({ port, appProtocol }) => [port, appProtocol]),
    [[80, "kubernetes.io/h2c"]],
  );
  const workloads = controller.stores.storeFor(resources.workloads);
  const workload = () => workloads.get({ resource: resources.workloads, namespace: "default", name: id });
  await eventually(async () => ((await workload()) as unknown as Workload | undefined)?.status?.state === "Starting");
  await api.deleteWorkload(id);
  await eventually(async () => (await store.get(key)) === undefined && (await workload()) === undefined);
});

test("a Service that a person writes is called by its name, holds in place of what runs, and leaves that when it goes", async (t) => {
  const { stateDir, controller } = await running(t);
  const api = new ApiClient(stateDir);
  const store = controller.stores.storeFor(resources.services);
  const services = async () => (await api.services()).map(({ ports, virtualAddress }) => [ports.map(({ port }) => port), virtualAddress]);
  await store.write({
    verb: "create",
    resource: key.resource,
    object: written({ type: "ClusterIP", sessionAffinity: "None", ports: [{ port: 81, protocol: "TCP" }] }),
  });
  await eventually(async () => (await services()).length === 1);
  const [[, address]] = (await services()) as [[number[], string]];
  assert.match(address, /^198\.18\./);
  const { id, virtualAddress } = await api.registerWorkload({ service: "users", ports: [{ servicePort: 80, targetPort: 80 }], pid: 1 });
  assert.equal(virtualAddress, address, "the name has one address, whoever gave it its ports");
  assert.deepEqual(await services(), [[[81], address]]);
  await store.write({ verb: "delete", ...key });
  await eventually(async () => (await services())[0]?.[0]?.toString() === "80");
  await eventually(async () => isManaged(((await store.get(key)) ?? { metadata: {} }) as StoredObject));
  await api.deleteWorkload(id);
  await eventually(async () => (await services()).length === 0);
});

test("a restarted controller begins with what people wrote, and keeps the address of its Service", async (t) => {
  const { stateDir, controller } = await running(t);
  const api = new ApiClient(stateDir);
  const object = written({ type: "ClusterIP", sessionAffinity: "None", ports: [{ port: 81, protocol: "TCP" }] });
  await controller.stores.storeFor(key.resource).write({ verb: "create", resource: key.resource, object });
  await eventually(async () => (await api.services()).length === 1);
  const before = await api.services();
  await controller.stop();
  await running(t, { stateDir });
  assert.deepEqual(await api.services(), before);
});

test("the address of a Service that was restored is given to no other name", async (t) => {
  const api = new ApiClient((await running(t)).stateDir);
  const { virtualAddress: first } = await api.registerWorkload({ service: "orders", pid: 1 });
  const { stateDir, controller } = await running(t);
  const spec = {
    type: "ClusterIP",
    sessionAffinity: "None",
    clusterIP: first,
    clusterIPs: [first],
    ports: [{ port: 81, protocol: "TCP" }],
  };
  await controller.stores.storeFor(key.resource).write({ verb: "create", resource: key.resource, object: written(spec) });
  const restored = new ApiClient(stateDir);
  await eventually(async () => (await restored.services()).length === 1);
  const { virtualAddress } = await restored.registerWorkload({ service: "orders", pid: 1 });
  assert.notEqual(virtualAddress, first);
  assert.deepEqual((await restored.services())[0]?.virtualAddress, first);
});

import assert from "node:assert/strict";
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ApiClient, statePaths } from "@weft/api";
import { eventually, running } from "../testing/controllers.ts";
import { FakeSidecar } from "../testing/fake-sidecar.ts";
import { spawnController } from "../testing/process.ts";
import { survivorOf } from "./survivors.ts";

test("sockets that somebody deleted are made again, and who is connected notices nothing", async (t) => {
  const { stateDir } = await running(t);
  const paths = statePaths(stateDir);
  const sidecar = await FakeSidecar.register(stateDir);
  t.after(() => sidecar.disconnect());
  await sidecar.certify();
  const policy = sidecar.watch([8080]);
  await eventually(async () => (await sidecar.api.workloads())[0]?.state === "live");
  rmSync(paths.apiSocket);
  rmSync(paths.controlSocket);
  const api = new ApiClient(stateDir);
  await eventually(async () => (await api.status().catch(() => undefined)) !== undefined, "api.sock answers");
  await eventually(() => existsSync(paths.controlSocket));
  assert.equal((await api.workloads())[0]?.state, "live");
  const another = await FakeSidecar.register(stateDir);
  t.after(() => another.disconnect());
  await another.certify();
  policy.aborted.abort();
});

test("a controller whose state directory was deleted ends in order", async (t) => {
  const { stateDir, controller } = await running(t);
  rmSync(stateDir, { recursive: true });
  await controller.ended;
  assert.equal(existsSync(stateDir), false, "what was deleted is not made again");
});

test("a controller whose registry was replaced ends, and leaves its successor alone", async (t) => {
  const { stateDir, controller } = await running(t);
  const before = await FakeSidecar.register(stateDir);
  renameSync(stateDir, `${stateDir}.old`);
  mkdirSync(stateDir);
  const next = spawnController(t, ["--state", stateDir, "--page-port", "0"]);
  await next.ready;
  await controller.ended;
  const api = new ApiClient(stateDir);
  assert.deepEqual(await api.workloads(), []);
  assert.ok(existsSync(join(stateDir, "controller.lock")));
  await api.registerAgain(before.workload.id, { service: "users", pid: process.pid, address: before.workload.address });
  next.child.kill("SIGKILL");
  await next.ended;
  await running(t, { stateDir });
  assert.equal((await api.workloads()).length, 1, "what the successor wrote is there");
});

test("a launcher's command line says whose workload it is, and another state directory's is none", () => {
  const own = ["--workload", "w-1", "--service", "users", "--namespace", "default", "--address", "198.19.0.5"];
  const line = ["/weft/weft-launch", ...own, "--virtual-address", "198.18.0.2", "--state", "/s", "--", "x", "--state", "/t"];
  assert.deepEqual(survivorOf(line, "/s"), {
    id: "w-1",
    service: "users",
    namespace: "default",
    address: "198.19.0.5",
    virtualAddress: "198.18.0.2",
  });
  assert.equal(survivorOf(line, "/t"), undefined);
  assert.equal(survivorOf(["/weft/weft-launch", "inside", "5", "198.19.0.5", "/s"], "/s"), undefined);
  assert.equal(survivorOf(["vi", ...line.slice(1)], "/s"), undefined);
  assert.equal(survivorOf([], "/s"), undefined);
});

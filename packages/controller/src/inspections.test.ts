import assert from "node:assert/strict";
import { test } from "node:test";
import type { Describe, InspectServeResponse } from "@weft/api/proto";
import { eventually, running } from "./testing/controllers.ts";
import { FakeSidecar } from "./testing/fake-sidecar.ts";

const asked = (received: InspectServeResponse[]): Describe | undefined =>
  received.flatMap(({ response }) => (response.case === "describe" ? [response.value] : [])).at(-1);

test("a sidecar describes what it holds; one that is silent, leaves or is away is named", async (t) => {
  const { stateDir, controller } = await running(t);
  const { inspections } = controller;
  const sidecar = await FakeSidecar.register(stateDir);
  t.after(() => sidecar.disconnect());
  await sidecar.certify();
  const { id } = sidecar.workload;
  const stream = sidecar.inspect();
  await eventually(() => inspections.reaches(id), "the sidecar's connection");

  const question = inspections.describe(id, "orders");
  const { questionId, service } = await stream.until(asked);
  assert.equal(service, "orders");
  stream.sent.push({ request: { case: "description", value: { questionId: questionId + 100n, version: "wrong" } } });
  stream.sent.push({ request: { case: "description", value: { questionId, version: "1.2.3", services: [{ name: "orders.default" }] } } });
  const { version, services } = await question;
  assert.deepEqual([version, services[0]?.name], ["1.2.3", "orders.default"]);

  await assert.rejects(inspections.describe(id, "", 20), { code: "WEFT-C-SIDECAR-SILENT" });
  const cut = inspections.describe(id, "", 60_000);
  const expected = assert.rejects(cut, { code: "WEFT-C-SIDECAR-AWAY" });
  sidecar.disconnect();
  await expected;
  await eventually(() => !inspections.reaches(id));
  await assert.rejects(inspections.describe(id), { code: "WEFT-C-SIDECAR-AWAY" });
});

test("only so many questions wait for one sidecar", async (t) => {
  const { stateDir, controller } = await running(t);
  const { inspections } = controller;
  const sidecar = await FakeSidecar.register(stateDir);
  t.after(() => sidecar.disconnect());
  await sidecar.certify();
  const { id } = sidecar.workload;
  sidecar.inspect();
  await eventually(() => inspections.reaches(id), "the sidecar's connection");
  const waiting = Array.from({ length: 64 }, () => assert.rejects(inspections.describe(id, "", 60_000), { code: "WEFT-C-SIDECAR-AWAY" }));
  await assert.rejects(inspections.describe(id), { code: "WEFT-C-TOO-MANY" });
  sidecar.disconnect();
  await Promise.all(waiting);
});

test("a stream without a credential is refused", async (t) => {
  const { stateDir } = await running(t);
  const sidecar = await FakeSidecar.register(stateDir);
  t.after(() => sidecar.disconnect());
  assert.match(String(await sidecar.inspect().ended), /WEFT-C-CREDENTIAL-REFUSED/);
});

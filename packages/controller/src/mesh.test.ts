import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Mesh } from "./mesh.ts";
import { Registry } from "./registry/registry.ts";
import { eventually } from "./testing/controllers.ts";

const sidecar = { version: "0.1.0", inboundAddress: "127.0.0.1", inboundPort: 9, adminAddress: "" };

test("sidecars that connect at once are written together, and all of them", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "weft-mesh-"));
  const registry = new Registry(join(folder, "registry.db"));
  const mesh = new Mesh(registry, {}, { survivors: () => [], isAlive: () => true });
  t.after(() => {
    mesh.close();
    registry.close();
    rmSync(folder, { recursive: true });
  });
  const ids = Array.from({ length: 100 }, () => {
    const input = { service: "users", namespace: "default", ports: [], publish: false, command: [], pid: 1 };
    return mesh.register(input).id;
  });
  const writes = t.mock.method(registry, "transaction");
  for (const id of ids) mesh.connect(id, sidecar).listening([8080]);
  assert.ok(
    ids.every((id) => mesh.workload(id)?.record.sidecar?.inboundPort === 9),
    "what they say holds at once",
  );
  const written = () => registry.load().workloads.filter(({ listening }) => listening?.includes(8080)).length;
  await eventually(() => Promise.resolve(written() === ids.length));
  assert.equal(writes.mock.callCount(), 1);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { Mesh, until } from "@weft/testkit";
import { fixture } from "./fixtures.ts";

test("a program that listens on more ports than a sidecar may tell is called on the one that it declared", {
  timeout: 90_000,
}, async () => {
  await using mesh = await Mesh.start();
  const many = await mesh.run("many", fixture("listens", 50_000, 5_000), { options: ["--port", "80:50000", "--no-publish"] });
  const told = async () => (await many.workload()).listening ?? [];
  await until("all ports that may be told are", async () => (await told()).length === 4_096, { diagnose: () => mesh.diagnose(many) });
  assert.ok((await told()).includes(50_000), "the declared one is among them");
  const { stdout, stderr } = await mesh.call("caller", fixture("fetch", "http://many/"));
  assert.match(stdout, /^200 /, stderr);
  assert.equal((await many.workload()).state, "live");
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { Mesh, memoryOf } from "@weft/testkit";
import { fixture } from "./fixtures.ts";

const megabyte = 1024 * 1024;

test("an idle sidecar holds at most 7 MB, of which at most 1.5 MB are its own", { timeout: 60_000 }, async (t) => {
  await using mesh = await Mesh.start();
  const users = await mesh.run("users", fixture("echo", 8080), { options: ["--port", "8080", "--no-publish"] });
  const { stdout } = await mesh.call("caller", fixture("fetch", "http://users/"));
  assert.match(stdout, /^200 /);
  await delay(3000); // Idle is the state that is measured.
  const { resident, anonymous } = memoryOf(await users.sidecar());
  t.diagnostic(`resident ${(resident / megabyte).toFixed(2)} MB, anonymous ${(anonymous / megabyte).toFixed(2)} MB`);
  assert.ok(resident <= 7 * megabyte, `${resident} bytes resident`);
  assert.ok(anonymous <= 1.5 * megabyte, `${anonymous} bytes anonymous`);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { Mesh, memoryOf, until } from "@weft/testkit";
import { fixture } from "./fixtures.ts";

const megabyte = 1024 * 1024;

test("an idle sidecar holds at most 7 MB, of which at most 1.5 MB are its own", { timeout: 60_000 }, async (t) => {
  await using mesh = await Mesh.start();
  const users = await mesh.run("users", fixture("echo", 8080), { options: ["--port", "8080", "--no-publish"] });
  const { stdout } = await mesh.call("caller", fixture("fetch", "http://users/"));
  assert.match(stdout, /^200 /);
  const sidecar = await users.sidecar();
  const shown = () => {
    const { resident, anonymous } = memoryOf(sidecar);
    return `resident ${(resident / megabyte).toFixed(2)} MB, anonymous ${(anonymous / megabyte).toFixed(2)} MB`;
  };
  // It has just carried a call, and becomes idle.
  const isSmall = () => {
    const { resident, anonymous } = memoryOf(sidecar);
    return resident <= 7 * megabyte && anonymous <= 1.5 * megabyte;
  };
  await until("the idle sidecar holds as little as that", isSmall, { diagnose: shown });
  t.diagnostic(shown());
});

import assert from "node:assert/strict";
import { readFileSync, rmSync } from "node:fs";
import { test } from "node:test";
import { type Member, Mesh, until } from "@weft/testkit";
import { fixture } from "./fixtures.ts";

// A workload that the registry does not know any more registers anew by itself.

const users = ["--port", "8080", "--no-publish"];
const startOf = (pid: number) => readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ")[19];

const known = async (mesh: Mesh) => ({
  services: (await mesh.api.services()).map(({ name, virtualAddress }) => `${name} ${virtualAddress}`).sort(),
  workloads: (await mesh.api.workloads()).map(({ id, service, address }) => `${id} ${service} ${address}`).sort(),
});

/** A program that calls users again and again, and says how it went. */
const caller = (mesh: Mesh) => mesh.run("caller", fixture("ask", "http://users/", 20), { endpoints: 0 });
const answersOf = (member: Member) => member.running.stdout.trim().split("\n").slice(0, -1);

const isLive = async (mesh: Mesh, count: number) => {
  const workloads = await mesh.api.workloads().catch(() => []);
  return workloads.length === count && workloads.every(({ state, listening }) => state === "live" && listening !== null);
};

test("after the state directory was deleted and a controller started anew, all workloads are back, and traffic goes on", {
  timeout: 120_000,
}, async () => {
  await using mesh = await Mesh.start();
  const echo = await mesh.run("users", fixture("echo", 8080), { options: users });
  const web = await caller(mesh);
  await until("calls are answered", () => answersOf(web).length > 3);
  const before = await known(mesh);
  const sidecars = [await echo.sidecar(), await web.sidecar()];
  const started = sidecars.map(startOf);

  await mesh.killController();
  rmSync(mesh.state, { recursive: true });
  await mesh.up();
  // Somebody who comes first must not get what others hold still.
  const { stderr } = await mesh.call("newcomer", ["true"]);
  for (const line of before.workloads) assert.ok(!stderr.includes(` ${line.split(" ")[2]},`), stderr);
  await until("both are back", () => isLive(mesh, 2), { diagnose: () => mesh.diagnose(echo) });

  const after = await known(mesh);
  assert.deepEqual(after.workloads, before.workloads);
  assert.ok(after.services.includes(before.services.find((line) => line.startsWith("users ")) ?? ""), String(after.services));
  for (const member of [echo, web]) assert.match(member.running.stderr, /had forgotten .* registered anew, as w-/);
  assert.deepEqual(sidecars.map(startOf), started, "no sidecar was restarted");
  const seen = answersOf(web).length;
  await until("calls are answered", () => answersOf(web).slice(seen).length > 10);
  assert.deepEqual(new Set(answersOf(web).slice(seen + 3)), new Set(["200"]), "after a moment every call is answered");
  const denied = answersOf(web).filter((answer) => /NO-ENDPOINT|ENOTFOUND|EAI_AGAIN/.test(answer));
  assert.deepEqual(denied, [], "no caller was told that there is nothing to call");
  const fresh = await mesh.call("other", fixture("fetch", "http://users/"));
  assert.match(fresh.stdout, /^200 /, fresh.stderr);
});

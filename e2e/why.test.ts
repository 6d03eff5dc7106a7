import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type Member, Mesh, until } from "@weft/testkit";
import { fixture } from "./fixtures.ts";

// Why calls work, or do not: from both sides' sidecars, in the words of people.

let mesh: Mesh;
let users: Member;
before(async () => {
  mesh = await Mesh.start();
  users = await mesh.run("users", fixture("echo", 8080), { options: ["--port", "80:8080", "--no-publish"] });
  const caller = 'setInterval(() => fetch("http://users/").then((r) => r.text()).catch(() => {}), 100)';
  await mesh.run("web", [process.execPath, "-e", caller], { endpoints: 0 });
});
after(() => mesh[Symbol.asyncDispose]());

/** Asks until the first line is as wanted. */
async function why(args: string[], verdict: RegExp, exitCode: number): Promise<string> {
  let last = "";
  return until(
    `weft why ${args.join(" ")} says ${verdict}`,
    async () => {
      const { code, stdout, stderr } = await mesh.weft(["why", ...args]);
      last = `${code}: ${stdout}${stderr}`;
      return verdict.test(stdout.split("\n")[0] ?? "") && code === exitCode && stdout;
    },
    { timeoutMs: 40_000, diagnose: () => last },
  );
}

test("a healthy pair is explained by the way of a request", { timeout: 90_000 }, async () => {
  const stdout = await why(["web", "users"], /^Calls from web to users work\.$/, 0);
  const { id } = await users.workload();
  assert.match(stdout, /✓ users offers 1 endpoint on port 80\./);
  assert.match(stdout, /✓ w-\w+ knows 1 endpoint of users\.\n/);
  assert.match(stdout, new RegExp(`${id} at 127\\.0\\.0\\.1:\\d+: answering, `));
  assert.match(stdout, /✓ [\d,]+ calls? to port 80 in the last minute, all successful\./);
  assert.match(stdout, /web \(w-\w+\) calls users:80\n.*\n +mutual TLS http1 to 127\.0\.0\.1:\d+\n.*\n +the program on port 8080\n$/);
});

test("what is known is there for programs", { timeout: 30_000 }, async () => {
  const { code, stdout } = await mesh.weft(["why", "web", "users", "-o", "json"]);
  const { ok, facts } = JSON.parse(stdout);
  assert.deepEqual([code, ok], [0, true]);
  const [held] = facts.from.workloads[0].description.services;
  assert.deepEqual([held.name, held.endpoints.length, held.revision], ["users.default", 1, facts.revision]);
  assert.deepEqual(facts.to.workloads[0].description.ports, [{ port: 8080, servicePorts: [80], listening: true }]);
});

test("a name that is none is answered with what was meant", { timeout: 30_000 }, async () => {
  await why(["web", "usres"], /^Calls from web to usres fail: no service is called "usres"; did you mean "users"\?$/, 1);
  await why(["wbe", "users"], /fail: no service is called "wbe"; did you mean "web"\?$/, 1);
});

test("a program that does not listen is found", { timeout: 60_000 }, async () => {
  const options = ["--port", "80:9000", "--no-publish"];
  await mesh.run("mute", [process.execPath, "-e", "setInterval(() => {}, 1000)"], { options, endpoints: 0 });
  const stdout = await why(["web", "mute"], /fail: mute has no endpoint in w-\w+: its program does not listen on port 9000\.$/, 1);
  assert.match(stdout, /It listens on nothing\./);
});

test("a caller that never called can call", { timeout: 60_000 }, async () => {
  const stdout = await why(["users", "users"], /^Calls from users to users can succeed; there was none in the last minute\.$/, 0);
  assert.match(stdout, /never asked for users: its program has not looked the name up yet/);
});

test("a service that was killed is found gone", { timeout: 90_000 }, async () => {
  process.kill((await users.workload()).programPid ?? 0, "SIGKILL");
  await users.running.ended;
  await why(["web", "users"], /^Calls from web to users fail: (users has no endpoint|no service is called "users")/, 1);
});

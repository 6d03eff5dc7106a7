import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { execute, freePort, Mesh, root, until } from "@weft/testkit";
import { fixture } from "./fixtures.ts";

const urls = (count: number) => Array.from({ length: count }, () => "http://users/");
const answersOf = (stdout: string) =>
  stdout
    .trim()
    .split("\n")
    .map((line) => (line.startsWith("200 ") ? JSON.parse(line.slice(4)).name : line));

test("two instances of a name are two endpoints, both are called, and one ending is noticed by nobody", { timeout: 90_000 }, async () => {
  await using mesh = await Mesh.start();
  const first = await mesh.run("users", fixture("echo", 8080, "first"), { options: ["--port", "8080", "--no-publish"] });
  await mesh.run("users", fixture("echo", 8080, "second"), { options: ["--port", "8080", "--no-publish"], endpoints: 2 });
  const [service] = await mesh.api.services();
  assert.equal(service?.endpoints.length, 2);

  const both = await mesh.call("caller", fixture("fetch", ...urls(60)));
  assert.deepEqual(new Set(answersOf(both.stdout)), new Set(["first", "second"]), both.stderr);

  await first.running.stop();
  await until("one endpoint is left", async () => (await mesh.api.services()).find(({ name }) => name === "users")?.endpoints.length === 1);
  const one = await mesh.call("caller", fixture("fetch", ...urls(20)));
  assert.deepEqual(new Set(answersOf(one.stdout)), new Set(["second"]), one.stderr);
});

test("a published port passes on to the next instance when the one that held it ends", { timeout: 90_000 }, async () => {
  await using mesh = await Mesh.start();
  const port = await freePort();
  const options = ["--port", String(port)];
  const first = await mesh.run("users", fixture("echo", port, "first"), { options });
  const second = await mesh.run("users", fixture("echo", port, "second"), { options, endpoints: 2 });
  assert.doesNotMatch(second.running.stderr, /PORT-TAKEN/, "an instance beside another is no conflict");
  const published = async () => (await fetch(`http://127.0.0.1:${port}/`, { headers: { connection: "close" } })).json();
  await until("both answer on the published port", async () => {
    const names = await Promise.all(Array.from({ length: 8 }, async () => (await published()).name));
    return new Set(names).size === 2;
  });
  await first.running.stop();
  const name = await until("the second holds the port", async () => (await published().catch(() => undefined))?.name);
  assert.equal(name, "second");
});

test("a program sees its caller's own address, and its exit code, signals and streams pass through", { timeout: 60_000 }, async () => {
  await using mesh = await Mesh.start();
  await mesh.run("users", fixture("echo", 8080), { options: ["--port", "8080", "--no-publish"] });
  const { stdout, stderr } = await mesh.call("caller", fixture("fetch", "http://users/"));
  assert.match(JSON.parse(stdout.slice(4)).peer, /198\.19\./, stderr);

  assert.equal((await mesh.call("failing", ["sh", "-c", "exit 7"])).code, 7);
  const out = await mesh.call("writer", ["sh", "-c", "echo data; echo message >&2"]);
  assert.equal(out.stdout, "data\n");
  assert.match(out.stderr, /message/);

  const signals = (text: string) => Number.parseInt(/SigIgn:\s+([0-9a-f]+)/.exec(text)?.[1] ?? "", 16);
  const limits = ["sh", "-c", "ulimit -Sn; cat /proc/self/status"];
  const without = await execute("sh", ["-c", 'ulimit -Sn 1000; exec "$@"', "sh", ...limits]);
  const weft = [join(root, "bin", "weft"), "run", "limited", "--", ...limits];
  const within = await execute("sh", ["-c", 'ulimit -Sn 1000; exec "$@"', "sh", ...weft], { env: mesh.env });
  assert.equal(within.stdout.split("\n")[0], "1000", within.stderr);
  assert.equal(signals(within.stdout), signals(without.stdout), "no other signals are ignored than without");

  const trapping = await mesh.run("trapping", ["sh", "-c", 'trap "echo told; exit 3" TERM; echo ready; while :; do sleep 0.1; done'], {
    endpoints: 0,
  });
  await until("the program is ready", () => trapping.running.stdout.includes("ready"));
  const ended = await trapping.running.stop("SIGTERM");
  assert.equal(ended.code, 3, trapping.running.describe());
  assert.match(ended.stdout, /told/);
});

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Mesh, need } from "@weft/testkit";
import { fixture, nginxCommand } from "./fixtures.ts";

// What protocols allow and programs seldom do, between programs that know nothing of the mesh.

let mesh: Mesh;
before(async () => {
  mesh = await Mesh.start();
});
after(() => mesh[Symbol.asyncDispose]());

test("requests that nginx took no notice of when it ended an HTTP/2 connection are sent again", { timeout: 60_000 }, async (t) => {
  const parts = need(t, "nginx", "h2load");
  if (!parts) return;
  const server = `listen 8081 http2; keepalive_requests 100; location / { return 200 "ok"; }`;
  await mesh.run("goaway", nginxCommand(parts.nginx, mesh.folder, server), { options: ["--port", "8081"] });
  const { stdout, stderr } = await mesh.call("h2load", [parts.h2load, "-n", "5000", "-c", "4", "-m", "10", "http://goaway:8081/"]);
  assert.match(stdout, /5000 succeeded, 0 failed/, stdout + stderr);
  assert.match(stdout, /status codes: 5000 2xx/);
});

test("HTTP/2: streams that stay open keep no others waiting, and cancelled ones are freed", { timeout: 60_000 }, async () => {
  await mesh.run("streams", fixture("streams", "serve", 8010), { options: ["--port", "8010", "--port", "8011"] });
  const { code, stdout, stderr } = await mesh.call("streamer", fixture("streams", "call", "streams", 8010));
  assert.equal(code, 0, stderr);
  assert.deepEqual(JSON.parse(stdout), {
    parallel: { "200 got 100": 2000 },
    trailersOnly: "7",
    held: 120,
    beside: "got 1",
    openAfterCancel: 1,
  });
});

test("HTTP/1.1: what is sent before, after and beside a message passes", { timeout: 60_000 }, async (t) => {
  const parts = need(t, "curl");
  if (!parts) return;
  await mesh.run("corners", fixture("corners", 8000), { options: ["--port", "8000"] });
  const curl = async (...args: string[]) => {
    const { code, stdout, stderr } = await mesh.call("curl", [parts.curl, "-sS", "--max-time", "10", ...args]);
    assert.equal(code, 0, stderr);
    return stdout;
  };
  await t.test("103 Early Hints", async () => {
    assert.match(
      await curl("-i", "http://corners:8000/hints"),
      /^HTTP\/1.1 103 Early Hints\r\nlink: <\/a.css>[^\r]*\r\n\r\nHTTP\/1.1 200 OK/i,
    );
  });
  await t.test("trailers", async () => {
    assert.match(await curl("--raw", "http://corners:8000/trailers"), /^3\r\nabc\r\n0\r\nX-Sum: 3\r\n\r\n$/i);
  });
  await t.test("Expect: 100-continue before two megabytes", async () => {
    const file = join(mesh.folder, "two-megabytes");
    writeFileSync(file, Buffer.alloc(2 * 1024 * 1024, "a"));
    const said = await curl("-i", "-H", "Expect: 100-continue", "--data-binary", `@${file}`, "http://corners:8000/size");
    assert.match(said, /^HTTP\/1.1 100 Continue\r\n\r\nHTTP\/1.1 200 OK[\s\S]*POST 2097152$/);
  });
  await t.test("HEAD, HTTP/1.0, and an h2c upgrade that is answered in HTTP/1.1", async () => {
    assert.match(await curl("-I", "http://corners:8000/size"), /^HTTP\/1.1 200 OK/);
    assert.equal(await curl("-0", "http://corners:8000/size"), "GET 0");
    assert.match(await curl("-i", "--http2", "http://corners:8000/size"), /^HTTP\/1.1 200 OK[\s\S]*GET 0$/);
  });
  await t.test("pipelined requests are answered in order; CONNECT and an upgrade become tunnels", async () => {
    const { stdout, stderr } = await mesh.call("raw", fixture("http1-client", "corners", 8000));
    assert.deepEqual(
      JSON.parse(stdout || "{}"),
      { pipelined: ["slow", "GET 0", "POST 3"], connect: "tunnelled", upgrade: "tunnelled" },
      stderr,
    );
  });
});

test("DNS: questions about a service beyond its address are answered at once", { timeout: 30_000 }, async () => {
  await mesh.run("described", fixture("corners", 8005), { options: ["--port", "8005"] });
  // A question that is not answered by itself is asked again after the time, and once it was asked three times nobody answered it.
  const script = `const { Resolver } = require("node:dns/promises"), resolver = new Resolver({ timeout: 10_000, tries: 1 });
    resolver.resolveTxt("_grpc_config.described").catch(({ code }) => console.log(code));`;
  const { stdout, stderr } = await mesh.call("asker", [process.execPath, "-e", script]);
  assert.equal(stdout, "ENOTFOUND\n", stderr);
});

test("bytes: either side may end first, a reset is passed on, and a server that speaks first is hardly delayed", {
  timeout: 60_000,
}, async () => {
  const ports = Array.from({ length: 6 }, (_, index) => ["--port", String(9000 + index)]).flat();
  await mesh.run("ends", fixture("ends", "serve", 9000), { options: ports });
  const { code, stdout, stderr } = await mesh.call("ender", fixture("ends", "call", "ends", 9000), { timeoutMs: 20_000 });
  assert.equal(code, 0, stdout + stderr);
  const { greetings, ...rest } = JSON.parse(stdout);
  assert.deepEqual(rest, {
    clientEndsFirst: "got 1000000",
    serverEndsFirst: ["hello", "still here"],
    serverResets: "ECONNRESET",
    clientResets: "read ECONNRESET",
  });
  const [first, ...later]: number[] = greetings;
  // A client that says nothing is not waited for until it must speak, 10 s, and once it is known that the server speaks first not at all, not even 10 ms.
  assert.ok(first !== undefined && first < 5_000, `the first greeting took ${first} ms`);
  assert.ok(Math.min(...later) < 10, `later greetings took ${later} ms`);
});

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Mesh, need } from "@weft/testkit";
import { fixture, goProgram, nginxCommand } from "./fixtures.ts";

// Real programs, none of which knows of the mesh, call each other by name.

let mesh: Mesh;
before(async () => {
  mesh = await Mesh.start();
});
after(() => mesh[Symbol.asyncDispose]());

test("httpbin under gunicorn answers curl, Python requests and Node's fetch", { timeout: 90_000 }, async (t) => {
  const parts = need(t, "gunicorn", "curl", "python-requests");
  if (!parts) return;
  await mesh.run("httpbin", [parts.gunicorn, "-b", "0.0.0.0:8000", "-k", "gthread", "--threads", "4", "httpbin:app"], {
    options: ["--port", "8000"],
  });

  await t.test("curl, GET and a body of a megabyte", async () => {
    const get = await mesh.call("curl", [parts.curl, "-sS", "--max-time", "15", "http://httpbin/get?a=1"]);
    assert.equal(get.code, 0, get.stderr);
    assert.deepEqual(JSON.parse(get.stdout).args, { a: "1" });
    const file = join(mesh.folder, "megabyte");
    writeFileSync(file, Buffer.alloc(1024 * 1024, "a"));
    const post = await mesh.call("curl", [parts.curl, "-sS", "--max-time", "15", "--data-binary", `@${file}`, "http://httpbin:8000/post"]);
    assert.equal(post.code, 0, post.stderr);
    assert.equal(JSON.parse(post.stdout).headers["Content-Length"], String(1024 * 1024));
  });

  await t.test("curl, a redirect, a chunked answer and an error status", async () => {
    const url = "http://httpbin/redirect-to?url=http%3A%2F%2Fhttpbin%2Fstream%2F3";
    const redirected = await mesh.call("curl", [parts.curl, "-sS", "--max-time", "15", "-L", url]);
    assert.equal(redirected.stdout.trim().split("\n").length, 3, redirected.stderr);
    const teapot = await mesh.call("curl", [
      parts.curl,
      "-sS",
      "--max-time",
      "15",
      "-o",
      "/dev/null",
      "-w",
      "%{http_code}",
      "http://httpbin/status/418",
    ]);
    assert.equal(teapot.stdout, "418");
  });

  await t.test("Python requests with a session", async () => {
    const script = `
import requests
with requests.Session() as session:
    for _ in range(3):
        answer = session.post("http://httpbin.default/anything", json={"n": 1}, timeout=10)
        answer.raise_for_status()
    print(answer.json()["json"]["n"], session.get("http://httpbin.weft/status/503", timeout=10).status_code)`;
    const { code, stdout, stderr } = await mesh.call("python", [parts["python-requests"], "-c", script]);
    assert.equal(code, 0, stderr);
    assert.equal(stdout.trim(), "1 503");
  });

  await t.test("Node's fetch", async () => {
    const { stdout, stderr } = await mesh.call("node", fixture("fetch", "http://httpbin/status/204", "http://httpbin/base64/d2VmdA=="));
    assert.equal(stdout, "204 \n200 weft\n", stderr);
  });
});

test("nginx answers curl, and is reached by a port of the service that is not its own", { timeout: 60_000 }, async (t) => {
  const parts = need(t, "nginx", "curl");
  if (!parts) return;
  const server = `listen 8081; location / { return 200 "nginx on $server_port for $host\\n"; }`;
  await mesh.run("static", nginxCommand(parts.nginx, mesh.folder, server), { options: ["--port", "80:8081"] });
  const { code, stdout, stderr } = await mesh.call("curl", [parts.curl, "-sS", "--max-time", "15", "http://static/"]);
  assert.equal(code, 0, stderr);
  assert.equal(stdout, "nginx on 8081 for static\n");
});

test("a gRPC server answers @grpc/grpc-js: unary, streaming, and a status in the trailers", { timeout: 60_000 }, async () => {
  await mesh.run("greeter", fixture("grpc", "serve", 50051), { options: ["--port", "50051"] });
  const { code, stdout, stderr } = await mesh.call("caller", fixture("grpc", "call", "greeter:50051"));
  assert.equal(code, 0, stderr);
  assert.deepEqual(JSON.parse(stdout), { said: "you said hello", numbers: ["1", "2", "3", "4", "5"], failed: "5 no such thing" });
  const row = await mesh.row("greeter", "inbound", ({ totals }) => totals.requests >= 3);
  assert.deepEqual(row.totals.grpcStatuses, { "0": 2, "5": 1 });
});

test("Go's net/http in a static binary is caller and called", { timeout: 300_000 }, async (t) => {
  const parts = need(t, "go", "curl");
  if (!parts) return;
  const hello = await goProgram(parts.go);
  await mesh.run("gopher", [hello, "serve", ":8090"], { options: ["--port", "8090"] });
  const byGo = await mesh.call("gocaller", [hello, "get", "http://gopher/from-go"]);
  assert.equal(byGo.stdout, "200 go says hello to Go-http-client/1.1: GET /from-go 0 bytes over HTTP/1.1\n", byGo.stderr);
  const byH2 = await mesh.call("curl", [parts.curl, "-sS", "--max-time", "15", "-A", "curl", "http://gopher:8090/from-curl"]);
  assert.match(byH2.stdout, /hello to curl: GET \/from-curl/, byH2.stderr);
});

test("weft stat and weft edges name all of them", { timeout: 30_000 }, async (t) => {
  if (!need(t, "gunicorn", "curl", "nginx", "go")) return;
  for (const name of ["httpbin", "static", "greeter", "gopher"]) await mesh.row(name, "inbound", ({ totals }) => totals.requests > 0);
  const { stdout } = await mesh.weft(["edges", "-o", "json", "--window", "300s"]);
  const edges: { from: string; to: string; secured: boolean }[] = JSON.parse(stdout);
  const lines = edges.map(({ from, to, secured }) => `${from} ${to} ${secured}`);
  for (const caller of ["curl", "python", "node"]) assert.ok(lines.includes(`${caller}.default httpbin.default true`), lines.join("\n"));
});

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Mesh, need, succeed } from "@weft/testkit";
import { fixture } from "./fixtures.ts";

// What programs put on the wire themselves, and where they listen.

let mesh: Mesh;
before(async () => {
  mesh = await Mesh.start();
});
after(() => mesh[Symbol.asyncDispose]());

test("TLS of the programs' own, with client certificates and ALPN, passes end to end", { timeout: 90_000 }, async (t) => {
  const parts = need(t, "openssl");
  if (!parts) return;
  const at = (name: string) => join(mesh.folder, name);
  const make = (...args: string[]) => succeed(parts.openssl, args);
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  await make("req", "-x509", ...key, "-keyout", at("ca.key"), "-out", at("ca.pem"), "-subj", "/CN=their own root", "-days", "2");
  for (const name of ["secret", "client"]) {
    await make("req", ...key, "-keyout", at(`${name}.key`), "-out", at(`${name}.csr`), "-subj", `/CN=${name}`);
    const signed = ["-CA", at("ca.pem"), "-CAkey", at("ca.key"), "-CAcreateserial", "-out", at(`${name}.pem`), "-days", "2"];
    await make("x509", "-req", "-in", at(`${name}.csr`), ...signed);
  }
  const pair = (name: string) => ["-cert", at(`${name}.pem`), "-key", at(`${name}.key`), "-CAfile", at("ca.pem")];
  const server = [
    parts.openssl,
    "s_server",
    "-accept",
    "8443",
    ...pair("secret"),
    "-Verify",
    "2",
    "-verify_return_error",
    "-alpn",
    "h2",
    "-rev",
  ];
  await mesh.run("secret", server, { options: ["--port", "8443"] });
  const client = [parts.openssl, "s_client", "-connect", "secret:8443", "-alpn", "h2", "-verify_return_error", "-ign_eof"];
  const speak = 'printf "hello\\nCLOSE\\n" | "$@"';
  const { stdout, stderr } = await mesh.call("client", ["sh", "-c", speak, "sh", ...client, ...pair("client")], { timeoutMs: 30_000 });
  assert.match(stdout, /Verify return code: 0 \(ok\)/, stderr);
  assert.match(stdout, /ALPN protocol: h2/);
  assert.match(stdout, /olleh/);
  const stranger = await mesh.call("stranger", ["sh", "-c", speak, "sh", ...client, "-CAfile", at("ca.pem")], { timeoutMs: 30_000 });
  assert.doesNotMatch(stranger.stdout, /olleh/);
});

test("a program that listens on IPv6 only is called by name, and itself by its IPv6 loopback", { timeout: 60_000 }, async () => {
  const serve = (host: string) =>
    `require("http").createServer((request, response) => response.end("six")).listen({ port: 8080, host: "${host}", ipv6Only: true })`;
  await mesh.run("loopback-six", [process.execPath, "-e", serve("::1")], { options: ["--port", "8080"] });
  await mesh.run("any-six", [process.execPath, "-e", serve("::")], { options: ["--port", "8080"] });
  const { stdout, stderr } = await mesh.call("caller", fixture("fetch", "http://loopback-six:8080/", "http://any-six:8080/"));
  assert.equal(stdout, "200 six\n200 six\n", stderr);
  const itself = `${serve("::1")}.on("listening", async () => { console.log(await (await fetch("http://[::1]:8080/")).text()); process.exit(); })`;
  assert.equal((await mesh.call("itself", [process.execPath, "-e", itself])).stdout, "six\n");
});

test("a WebSocket over HTTP/2 (RFC 8441) passes when the program takes it, and is not offered when it does not", {
  timeout: 60_000,
}, async () => {
  const serve = (port: number, enableConnectProtocol: boolean) =>
    `require("http2").createServer({ settings: { enableConnectProtocol: ${enableConnectProtocol} } }).on("stream", (stream, headers) => {
       stream.respond({ ":status": 200 }); stream.pipe(stream); }).listen(${port});`;
  const both = serve(8081, true) + serve(8082, false);
  await mesh.run("sockets", [process.execPath, "-e", both], { options: ["--port", "8081", "--port", "8082"] });
  const client = `const { connect } = require("http2");
    const offered = (port) => new Promise((resolve) => { const session = connect("http://sockets:" + port);
      session.on("remoteSettings", ({ enableConnectProtocol }) => resolve([session, enableConnectProtocol])); });
    Promise.all([offered(8081), offered(8082)]).then(([[session, yes], [, no]]) => {
      const stream = session.request({ ":method": "CONNECT", ":protocol": "websocket", ":path": "/chat", ":scheme": "http", ":authority": "sockets" });
      stream.setEncoding("utf8").on("data", (echoed) => { console.log(yes, no, echoed); process.exit(); });
      stream.write("frame"); });`;
  const { stdout, stderr } = await mesh.call("client", [process.execPath, "-e", client], { timeoutMs: 20_000 });
  assert.equal(stdout, "true false frame\n", stderr);
});

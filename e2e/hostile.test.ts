import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Mesh, metricsOf, total, until } from "@weft/testkit";
import { fixture } from "./fixtures.ts";

// Programs that lie and programs that hold up others: neither gets beyond its own connection.

let mesh: Mesh;
before(async () => {
  mesh = await Mesh.start();
  await mesh.run("one", fixture("identity", 8080), { options: ["--port", "80:8080", "--no-publish"] });
  await mesh.run("two", fixture("identity", 8080, "http2"), { options: ["--port", "80:8080", "--no-publish"] });
});
after(() => mesh[Symbol.asyncDispose]());

const proven = "spiffe://weft.local/ns/default/sa/liar";
const lie = "weft-client-id: spiffe://weft.local/ns/default/sa/admin\r\n";
const tail = `host: one\r\nconnection: close\r\n${lie}\r\n`;

/** Sends each message to the service over a connection of its own, from a program behind a sidecar, and answers what came back. */
async function send(service: string, messages: string[]): Promise<string[]> {
  const { stdout, stderr } = await mesh.call("liar", fixture("raw", service, 80, ...messages.map((message) => JSON.stringify(message))));
  const answers = stdout.split("\n").filter(Boolean);
  assert.equal(answers.length, messages.length, stderr);
  return answers.map((answer) => JSON.parse(answer));
}

test("a caller's identity is the proven one, whatever it claims", { timeout: 60_000 }, async () => {
  const answers = await send("one", [
    `GET / HTTP/1.1\r\n${tail}`,
    `\r\nGET / HTTP/1.1\r\n${tail}`,
    "GET / HTTP/1.1\r\nhost: one\r\nconnection: close, weft-client-id\r\n\r\n",
    "GET / HTTP/1.1\r\nhost: one\r\nconnection: close\r\nweft_client_id: admin\r\n\r\n",
    "GET / HTTP/1.1\r\nhost: one\r\nconnection: close\r\nweft.client.id: admin\r\nWeft~Client!ID: admin\r\n\r\n",
    "GET / HTTP/1.1\r\nhost: one\r\nconnection: close\r\nl5d-client-id: admin\r\nX_Forwarded-Client.Cert: By=admin\r\n\r\n",
  ]);
  for (const answer of answers) assert.match(answer, new RegExp(`^HTTP/1\\.1 200 .*\\["weft-client-id","${proven}"\\]`, "s"));
});

test("a claim in trailers is refused", { timeout: 60_000 }, async () => {
  const start = "POST / HTTP/1.1\r\nhost: one\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n";
  for (const answer of await send("one", [`${start}${lie}\r\n`, `${start}weft_client_id: admin\r\n\r\n`]))
    assert.match(answer, /^HTTP\/1\.1 400 .*WEFT-P-MALFORMED-BODY/s);
});

test("HTTP that is not known as such does not reach the program as bytes; it is counted and explained", { timeout: 60_000 }, async () => {
  const answers = await send("one", [
    `get / http/1.1\r\n${tail}`,
    ` GET / HTTP/1.1\r\n${tail}`,
    `GET\t/\tHTTP/1.1\r\n${tail}`,
    `${"G".repeat(40)} / HTTP/1.1\r\n${tail}`,
    `GET /\r\nhost: one\r\n${lie}\r\n`,
  ]);
  assert.deepEqual([...new Set(answers)], [""]);
  const admin = (await mesh.api.workloads()).find(({ service }) => service === "one")?.sidecar?.admin ?? "";
  assert.equal(total(await metricsOf(admin), "weft_refused_total", { error: "WEFT-P-PEER-HIDDEN-HTTP" }), 5);
  await until("weft edges explains it", async () =>
    (await mesh.weft(["edges"])).stdout.includes(`5 × from 127.0.0.1 to one: ${proven} sent HTTP to port 80 as bytes`),
  );
});

test("a tunnel of a server that opened none carries no requests", { timeout: 60_000 }, async () => {
  // Like Go's and WSGI servers, which answer CONNECT as any request and go on reading requests.
  const server = `require("net").createServer((s) => s.on("error", () => {}).once("data", () => {
    s.write("HTTP/1.1 200 OK\\r\\ncontent-length: 2\\r\\n\\r\\nok"); s.on("data", (d) => s.write("HTTP/1.1 200 OK\\r\\n\\r\\n" + d)); })).listen(8080, "0.0.0.0")`;
  await mesh.run("naive", [process.execPath, "-e", server], { options: ["--port", "80:8080", "--no-publish"] });
  const [answer = ""] = await send("naive", [`CONNECT naive:80 HTTP/1.1\r\nhost: naive:80\r\n\r\nGET / HTTP/1.1\r\n${tail}`]);
  assert.match(answer, /^(HTTP\/1\.1 200 OK\r\n\r\n(ok)?)?$/);
});

test("HTTP/2: neither fields nor trailers carry a claim", { timeout: 60_000 }, async () => {
  const caller = (trailers: string) => `const session = require("http2").connect("http://two");
    const claims = Object.fromEntries(["weft-client-id", "weft_client_id", "weft.client.id", "l5d-client-id", "x-forwarded-client-cert"].map((name) => [name, "admin"]));
    const stream = session.request({ ":method": "POST", ":path": "/", ...claims }, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers(${trailers}));
    stream.end("body"); stream.setEncoding("utf8").on("data", (data) => process.stdout.write(data)).on("end", () => session.close());`;
  const call = (trailers: string) => mesh.call("liar", [process.execPath, "-e", caller(trailers)], { timeoutMs: 20_000 });
  const { stdout, stderr } = await call('{ "x-weft": "other" }');
  assert.equal(stdout, JSON.stringify(["weft-client-id", proven, "x-weft", "other"]), stderr);
  for (const name of ["weft-client-id", "weft_client_id", "weft.client.id"])
    assert.match((await call(`{ ${JSON.stringify(name)}: "admin" }`)).stdout, /WEFT-P-MALFORMED-BODY/, name);
});

test("HTTP/2: streams that nobody reads hold up no other connection of the program", { timeout: 60_000 }, async () => {
  const { stdout, stderr } = await mesh.call("stalled", fixture("stalled", "http://two", 50), { timeoutMs: 30_000 });
  assert.equal(stdout, "200\n", stderr);
});

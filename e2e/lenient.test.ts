import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { execute, Mesh, metricsOf, need, total, until } from "@weft/testkit";
import { fixture, nginxCommand } from "./fixtures.ts";
import { pythonPart } from "./matrix/parts.ts";

// Servers that take for a request what no proxy knows as one: a caller could say itself who it is to them, were its bytes passed on.

let mesh: Mesh;
before(async () => {
  mesh = await Mesh.start();
});
after(() => mesh[Symbol.asyncDispose]());

const claim = "host: x\r\nweft-client-id: spiffe://weft.local/ns/default/sa/admin\r\n\r\n";
const binaryProxyHeader = "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x01\x01\x01\x01\x01\x01\x01\x01\x04\xd2\0\x50";

/** What some of these servers take for a request with a claim. Byte by byte as the characters. */
const forged = [
  `GET /?\x01 HTTP/1.1\r\n${claim}`,
  `GET /?\0 HTTP/1.1\r\n${claim}`,
  `GET /?\x7f HTTP/1.1\r\n${claim}`,
  `GET\xa0/\xa0HTTP/1.1\r\n${claim}`,
  `GET\x85/\x85HTTP/1.1\r\n${claim}`,
  `GET\x1c/\x1cHTTP/1.1\r\n${claim}`,
  `GET\t/\tHTTP/1.1\r\n${claim}`,
  ` GET / HTTP/1.1\r\n${claim}`,
  `\x01GET / HTTP/1.1\r\n${claim}`,
  `\x16\x03\x01\x02\0\x01 / HTTP/1.1\r\n${claim}`,
  `G(E)T / HTTP/1.1\r\n${claim}`,
  `${"G".repeat(9000)} / HTTP/1.1\r\n${claim}`,
  `GET /\x01${"a".repeat(20_000)} HTTP/1.1\r\n${claim}`,
  `GET /\x01 HTTP/1.1\rx: y\r\n${claim}`,
  `GET /\r\n${claim}`,
  `GET key\r\n${claim}`,
  `GET /\r\n${`x-filler: ${"y".repeat(5000)}\r\n`.repeat(16)}${claim}`,
  `PROXY TCP4 1.1.1.1 1.1.1.1 1234 80\r\nGET / HTTP/1.1\r\n${claim}`,
  `${binaryProxyHeader}GET / HTTP/1.1\r\n${claim}`,
];

/** Sends each message over a connection of its own, from a program behind a sidecar, and answers what came back. */
async function send(service: string, messages: string[]): Promise<string[]> {
  const { stdout, stderr } = await mesh.call("liar", fixture("raw", service, 80, ...messages.map((message) => JSON.stringify(message))), {
    timeoutMs: 60_000,
  });
  const answers = stdout.split("\n").filter(Boolean);
  assert.equal(answers.length, messages.length, stderr);
  return answers.map((answer) => JSON.parse(answer));
}

/** Holds that no message brings its claim to the service, that each is counted, and that what is right goes on working. */
async function holds(service: string): Promise<void> {
  const answers = await send(service, forged);
  assert.deepEqual(
    forged.filter((_, index) => answers[index] !== "").map((message) => message.slice(0, 60)),
    [],
    answers.join("\n"),
  );
  const admin = (await mesh.api.workloads()).find((workload) => workload.service === service)?.sidecar?.admin ?? "";
  assert.equal(total(await metricsOf(admin), "weft_refused_total", { error: "WEFT-P-PEER-HIDDEN-HTTP" }), forged.length);
}

for (const kind of ["http.server", "wsgiref", "flask"])
  test(`${kind} of Python believes no claim, however its request begins`, { timeout: 90_000 }, async (t) => {
    const parts = need(t, "python-requests");
    if (!parts) return;
    const service = kind.replace(".", "-");
    await mesh.run(service, [parts["python-requests"], pythonPart("lenient"), kind, "8080"], {
      options: ["--port", "80:8080", "--no-publish"],
    });
    const [answer = "", small = ""] = await send(service, [
      `GET / HTTP/1.1\r\nconnection: close\r\n${claim}`,
      `patch / HTTP/1.1\r\nconnection: close\r\n${claim}`,
    ]);
    assert.match(answer, /caller: spiffe:\/\/weft\.local\/ns\/default\/sa\/liar/);
    assert.match(small, /caller: spiffe:\/\/weft\.local\/ns\/default\/sa\/liar/);
    await holds(service);
  });

test("nginx that awaits a line of the PROXY protocol believes no claim behind one", { timeout: 90_000 }, async (t) => {
  const parts = need(t, "nginx");
  if (!parts) return;
  const command = nginxCommand(parts.nginx, join(mesh.folder), "listen 8080 proxy_protocol; return 200 $http_weft_client_id;");
  const behind = await mesh.run("behind", command, { options: ["--port", "80:8080", "--no-publish"] });
  await until("nginx listens", async () => (await behind.workload()).listening?.includes(8080), { diagnose: () => mesh.diagnose(behind) });
  await holds("behind");
});

test("what a program is not declared to speak does not reach it, and weft edges says what to do", { timeout: 60_000 }, async () => {
  await until("weft edges explains it", async () =>
    /http-server: spiffe:\/\/weft\.local\/ns\/default\/sa\/liar sent HTTP to port 80 as bytes.*--port 80:8080\/tcp/.test(
      (await mesh.weft(["edges"])).stdout,
    ),
  );
});

test("TLS that offers HTTP/1.1 passes as bytes", { timeout: 60_000 }, async (t) => {
  const parts = need(t, "openssl");
  if (!parts) return;
  const [key, certificate] = [join(mesh.folder, "key.pem"), join(mesh.folder, "certificate.pem")];
  const made = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=secure", "-days", "1"];
  await execute(parts.openssl, [...made, "-keyout", key, "-out", certificate]);
  const server = `const fs = require("fs"); require("https").createServer({ key: fs.readFileSync(${JSON.stringify(key)}), cert: fs.readFileSync(${JSON.stringify(certificate)}),
    ALPNProtocols: ["http/1.1"] }, (request, response) => response.end("over TLS")).listen(8443, "0.0.0.0")`;
  await mesh.run("secure", [process.execPath, "-e", server], { options: ["--port", "443:8443", "--no-publish"] });
  const caller = `let left = 20; const go = () => { const socket = require("tls").connect({ host: "secure", port: 443, servername: "secure", rejectUnauthorized: false, ALPNProtocols: ["h2", "http/1.1"] },
    () => socket.write("GET / HTTP/1.1\\r\\nhost: secure\\r\\nconnection: close\\r\\n\\r\\n")); let text = ""; socket.on("error", (error) => { text += error; });
    socket.on("data", (data) => { text += data; }).on("close", () => { process.stdout.write(/over TLS/.test(text) ? "+" : text); if (--left) go(); }); }; go();`;
  const { stdout, stderr } = await mesh.call("secret", [process.execPath, "-e", caller], { timeoutMs: 30_000 });
  assert.equal(stdout, "+".repeat(20), stderr);
});

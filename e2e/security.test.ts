import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { connect as connectTcp } from "node:net";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type ConnectionOptions, connect } from "node:tls";
import type { Edge } from "@weft/api";
import { execute, type Member, Mesh, metricsOf, need, notRoot, Running, succeed, total, unavailable, until } from "@weft/testkit";
import { certificate, impostorOf, rootOf } from "./certificates.ts";
import { fixture } from "./fixtures.ts";

let mesh: Mesh;
let users: Member;
let inbound: number;
before(async () => {
  mesh = await Mesh.start();
  users = await mesh.run("users", fixture("echo", 8080), { options: ["--port", "8080", "--no-publish"] });
  inbound = Number((await users.workload()).sidecar?.inbound.split(":").at(-1));
});
after(() => mesh[Symbol.asyncDispose]());

const edges = async (): Promise<Edge[]> => JSON.parse((await mesh.weft(["edges", "-o", "json"])).stdout);

test("between the sidecars everything is TLS 1.3, and no byte of payload is seen", { timeout: 90_000 }, async (t) => {
  const parts = need(t, "tcpdump", "tshark", "curl");
  if (!parts) return;
  if (process.getuid?.() !== 0) return unavailable(t, "a packet capture needs root");
  const file = join(mesh.folder, "capture.pcap");
  const capture = new Running(parts.tcpdump, ["-i", "lo", "-U", "-n", "-Z", "root", "-w", file, "tcp", "port", String(inbound)]);
  await until("tcpdump listens", () => capture.stderr.includes("listening on"), { diagnose: () => capture.describe() });

  const secret = randomBytes(16).toString("hex");
  const curl = [parts.curl, "-sS", "--max-time", "15", "-H", `x-secret: ${secret}`, "-d", `body ${secret}`, `http://users/${secret}`];
  const { stdout, stderr } = await mesh.call("caller", curl);
  assert.match(stdout, new RegExp(secret), stderr);
  await until(
    "the capture holds the connection's end",
    async () => (await tshark("tcp.flags.fin == 1 || tcp.flags.reset == 1", "frame.number")) !== "",
  );
  await capture.stop("SIGINT");

  function tshark(filter: string, field: string): Promise<string> {
    const args = ["-r", file, "-d", `tcp.port==${inbound},tls`, "-Y", filter, "-T", "fields", "-e", field];
    return succeed(parts?.tshark ?? "", args).then((text) => text.trim());
  }
  const versions = await tshark("tls.handshake.type == 2", "tls.handshake.extensions.supported_version");
  assert.ok(
    versions.split("\n").every((version) => version === "0x0304" || version === "0x00000304"),
    `TLS versions: ${versions}`,
  );
  assert.notEqual(await tshark("tls.app_data", "frame.number"), "", "there is encrypted data");
  assert.equal(await tshark("http || http2", "frame.number"), "");
  const bytes = readFileSync(file);
  for (const text of [secret, "x-secret", "HTTP/1.1", "user-agent", "curl/"]) assert.equal(bytes.indexOf(text), -1, `"${text}" was seen`);
});

test("weft edges names both identities", { timeout: 30_000 }, async () => {
  await mesh.call("caller", fixture("fetch", "http://users/"));
  const edge = await until("the edge", async () => (await edges()).find(({ from }) => from === "caller.default"));
  assert.equal(edge.fromIdentity, "spiffe://weft.local/ns/default/sa/caller");
  assert.equal(edge.toIdentity, "spiffe://weft.local/ns/default/sa/users");
  assert.equal(edge.secured, true);
});

/** Speaks TLS to the sidecar as a peer would, sends a request, and answers what came back before the connection closed. */
function attempt(options: ConnectionOptions): Promise<string> {
  return new Promise((resolve) => {
    let received = "";
    const settings = {
      host: "127.0.0.1",
      port: inbound,
      servername: "p80.users.default",
      ALPNProtocols: ["weft-h1/1"],
      rejectUnauthorized: false,
    };
    const socket = connect({ ...settings, ...options }, () => socket.write("GET / HTTP/1.1\r\nhost: users\r\nconnection: close\r\n\r\n"));
    socket.setTimeout(10_000, () => socket.destroy(new Error("still open after 10 s")));
    socket.on("data", (data) => {
      received += data;
    });
    socket.on("error", (error) => resolve(`error: ${error.message}`));
    socket.on("close", () => resolve(received));
  });
}

/** Sends bytes, and waits until the connection is closed. */
function sendBytes(bytes: Buffer): Promise<void> {
  return new Promise((resolve) => {
    const socket = connectTcp(inbound, "127.0.0.1", () => socket.write(bytes));
    socket.resume();
    socket.on("error", () => {});
    socket.on("close", () => resolve());
  });
}

/** Counts how often `code` refused somebody while `act` ran, in the sidecar's metrics, and waits until `weft edges` explains it. */
async function refusedWhile(code: string, act: () => Promise<void>): Promise<void> {
  const admin = await users.admin();
  const count = async () => total(await metricsOf(admin), "weft_refused_total", { error: code });
  const earlier = await count();
  await act();
  await until(`${code} is counted`, async () => (await count()) === earlier + 1);
  const refusal = await until(`${code} in weft edges`, async () =>
    (await edges())
      .filter(({ to }) => to === "users.default")
      .flatMap(({ refusals }) => refusals)
      .find(({ reason, count: times }) => reason === code && times === earlier + 1),
  );
  assert.equal(refusal.address, "127.0.0.1");
  assert.ok(refusal.detail.length > 10, `explained: ${refusal.detail}`);
  const { stdout } = await mesh.weft(["edges"]);
  assert.ok(stdout.includes(code), stdout);
}

const someone = "spiffe://weft.local/ns/default/sa/someone";

test("a peer with a certificate of the mesh is served", { timeout: 30_000 }, async () => {
  assert.match(await attempt(await certificate(await rootOf(mesh.state), someone, 1)), /^HTTP\/1.1 200/);
});

test("a peer without a certificate is refused, counted and explained", { timeout: 30_000 }, () =>
  refusedWhile("WEFT-P-PEER-NO-CERTIFICATE", async () => assert.doesNotMatch(await attempt({}), /HTTP/)),
);

test("a peer with an expired certificate is refused, counted and explained", { timeout: 30_000 }, () =>
  refusedWhile("WEFT-P-PEER-EXPIRED", async () =>
    assert.doesNotMatch(await attempt(await certificate(await rootOf(mesh.state), someone, -1)), /HTTP/),
  ),
);

test("a peer with a certificate from another root of the same name is refused, counted and explained", { timeout: 30_000 }, () =>
  refusedWhile("WEFT-P-PEER-UNKNOWN-ROOT", async () => {
    const impostor = await impostorOf(await rootOf(mesh.state));
    assert.doesNotMatch(await attempt(await certificate(impostor, someone, 1)), /HTTP/);
  }),
);

test("a peer that asks for a service that is not here is refused, counted and explained", { timeout: 30_000 }, () =>
  refusedWhile("WEFT-P-PEER-WRONG-DESTINATION", async () => {
    const credential = await certificate(await rootOf(mesh.state), someone, 1);
    assert.doesNotMatch(await attempt({ ...credential, servername: "p80.orders.default" }), /HTTP/);
  }),
);

test("only a sidecar of the service itself may open its ports to callers without an identity", { timeout: 30_000 }, async () => {
  const root = await rootOf(mesh.state);
  const servername = "p80-anonymous.users.default";
  assert.match(await attempt({ ...(await certificate(root, someone.replace("someone", "users"), 1)), servername }), /^HTTP\/1.1 200/);
  await refusedWhile("WEFT-P-PEER-WRONG-DESTINATION", async () =>
    assert.doesNotMatch(await attempt({ ...(await certificate(root, someone, 1)), servername }), /HTTP/),
  );
});

test("a peer that offers only TLS 1.2 is refused and counted", { timeout: 30_000 }, () =>
  refusedWhile("WEFT-P-PEER-NOT-TLS", async () =>
    assert.match(await attempt({ ...(await certificate(await rootOf(mesh.state), someone, 1)), maxVersion: "TLSv1.2" }), /error/),
  ),
);

test("bytes that are no TLS are refused, counted and explained", { timeout: 30_000 }, () =>
  refusedWhile("WEFT-P-PEER-NOT-TLS", () => sendBytes(Buffer.from("GET / HTTP/1.1\r\nhost: users\r\n\r\n"))),
);

test("peers that leave before their handshake is done are counted, and are no refused connections", { timeout: 30_000 }, async () => {
  const admin = await users.admin();
  const abandoned = async () => total(await metricsOf(admin), "weft_handshakes_abandoned_total", {});
  const refused = async () => total(await metricsOf(admin), "weft_refused_total", {});
  const earlier = [await abandoned(), await refused()] as const;
  const leaving = 20;
  for (let index = 0; index < leaving; index++) {
    // At once, or in the middle of a hello.
    const bytes = index % 2 === 0 ? "" : Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00]);
    await new Promise((resolve) => {
      const socket = connectTcp(inbound, "127.0.0.1", () =>
        index % 4 < 2 ? socket.end(bytes) : socket.write(bytes, () => socket.resetAndDestroy()),
      );
      socket.on("error", () => {}).on("close", resolve);
    });
  }
  await until("they are counted", async () => (await abandoned()) === earlier[0] + leaving);
  assert.equal(await refused(), earlier[1]);
});

test("a peer that says nothing is refused after a while", { timeout: 40_000 }, () =>
  refusedWhile("WEFT-P-PEER-TOO-SLOW", () => sendBytes(Buffer.alloc(0))),
);

test("another user of the machine is told names and numbers by the page's port, and nothing that a program was given", {
  timeout: 60_000,
}, async (t) => {
  const parts = need(t, "curl");
  if (!parts) return;
  const secret = randomBytes(16).toString("hex");
  const [program = "", ...args] = fixture("echo", 8081);
  await mesh.run("vault", [program, ...args, `--password=${secret}`], { options: ["--port", "8081", "--no-publish"] });
  const load = await mesh.run("teller", fixture("load", `http://vault/reset?token=${secret}`, 20, 30), { endpoints: 0 });
  const { pageUrl } = await mesh.api.status();
  const asked = async (path: string) => {
    const [first = "", ...rest] = [...notRoot(), parts.curl, "-sS", "--max-time", "2", "--path-as-is", `${pageUrl}${path}`];
    return (await execute(first, rest)).stdout;
  };
  await until("the calls are on the page", async () => /"to":"vault\.default"/.test(await asked("weft/v1/live")));
  const open = ["weft/v1/live", "weft/v1/status"];
  const tap = ["tap", "tap/", "tap//", "./tap", "%74ap", "TAP", "tap;x", "tap/x/.."].map(
    (path) => `weft/v1/${path}?fields=true&secrets=true`,
  );
  const why = ["why", "why/", "why/."].map((path) => `weft/v1/${path}?from=teller&to=vault`);
  const others = ["workloads", "workloads/", "services", "stat?by=route", "edges", "checks"].map((path) => `weft/v1/${path}`);
  for (const path of [...open, ...tap, ...why, ...others]) {
    const answer = await asked(path);
    for (const text of [secret, mesh.state, "--password"]) assert.ok(!answer.includes(text), `${path} tells ${text}: ${answer}`);
    if (!open.includes(path)) assert.match(answer, /^\{"error":\{"code":"WEFT-C-(LOCAL-ONLY|NOT-FOUND)"/, path);
  }
  await load.running.stop();
});

test("nobody but the owner can read the state", { timeout: 10_000 }, async () => {
  const modes = await succeed("stat", [
    "-c",
    "%a %n",
    mesh.state,
    `${mesh.state}/api.sock`,
    `${mesh.state}/control.sock`,
    `${mesh.state}/ca/root.key`,
  ]);
  assert.deepEqual(
    modes
      .trim()
      .split("\n")
      .map((line) => line.split(" ")[0]),
    ["700", "600", "600", "600"],
  );
});

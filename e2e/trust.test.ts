import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { connect, type TLSSocket } from "node:tls";
import { type Member, Mesh, metricsOf, total, until } from "@weft/testkit";
import { type Credential, certificate, rootOf } from "./certificates.ts";
import { fixture } from "./fixtures.ts";

// Connections end when what proved them does, and a workload that a person removed stays away.

const someone = "spiffe://weft.local/ns/default/sa/someone";
const day = 24 * 3600;

let mesh: Mesh;
let users: Member;
before(async () => {
  mesh = await Mesh.start();
  users = await mesh.run("users", fixture("echo", 8080), { options: ["--port", "8080", "--no-publish"] });
});
after(() => mesh[Symbol.asyncDispose]());

const inboundOf = async (member: Member) => Number((await member.workload()).sidecar?.inbound.split(":").at(-1));
const isAlive = (pid: number) => {
  try {
    return !readFileSync(`/proc/${pid}/stat`, "utf8").includes(") Z");
  } catch {
    return false;
  }
};

/** A connection to a sidecar, as a peer with this certificate would make it. */
class Peer {
  readonly socket: TLSSocket;
  received = "";
  closed = false;

  constructor(port: number, credential: Credential, service = "users") {
    this.socket = connect({
      ...credential,
      host: "127.0.0.1",
      port,
      servername: `p80.${service}.default`,
      ALPNProtocols: ["weft-h1/1"],
      rejectUnauthorized: false,
    });
    this.socket.on("data", (data) => {
      this.received += data;
    });
    this.socket.on("error", () => {});
    this.socket.on("close", () => {
      this.closed = true;
    });
  }

  /** Sends a request on the open connection and says whether it was answered before the connection ended. */
  async isAnswered(): Promise<boolean> {
    const seen = this.received.length;
    this.socket.write("GET / HTTP/1.1\r\nhost: users\r\n\r\n");
    await until("an answer, or the end", () => this.closed || this.received.slice(seen).includes("\r\n\r\n"));
    return this.received.slice(seen).startsWith("HTTP/1.1 200");
  }
}

test("a connection ends when the certificate of its peer expires, and carries requests until then", { timeout: 60_000 }, async () => {
  const lasting = new Peer(await inboundOf(users), await certificate(await rootOf(mesh.state), someone, 1));
  const seconds = 6;
  const expires = Date.now() + seconds * 1000;
  const brief = new Peer(await inboundOf(users), await certificate(await rootOf(mesh.state), someone, seconds / day));
  while (!brief.closed) {
    const asked = Date.now();
    assert.ok((await brief.isAnswered()) || Date.now() > expires - 1000, "answered as long as the certificate is valid");
    assert.ok(asked < expires + 5000, "a request was taken long after the end of the certificate");
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  assert.ok(await lasting.isAnswered(), "another one goes on");
  lasting.socket.destroy();
});

test("a workload that a person removes is cut off at once by all others, ended by its launcher, and does not come back", {
  timeout: 120_000,
}, async () => {
  const web = await mesh.run("web", fixture("ask", "http://users/", 200), { endpoints: 0 });
  const answers = () => web.running.stdout.trim().split("\n");
  await until("calls are answered", () => answers().filter((line) => line === "200").length > 3, { diagnose: () => mesh.diagnose(web) });
  const [{ id }, sidecar, root] = [await web.workload(), await web.sidecar(), await rootOf(mesh.state)];
  const own = new Peer(await inboundOf(web), await certificate(root, someone, 1), "web");
  await once(own.socket, "secureConnect");
  const serial = own.socket.getPeerCertificate().serialNumber.slice(0, 16);
  // Whoever took the key of its certificate.
  const stolen = await certificate(root, "spiffe://weft.local/ns/default/sa/web", 1, serial);
  const inbound = await inboundOf(users);
  const thief = new Peer(inbound, stolen);
  assert.ok(await thief.isAnswered());
  const honest = new Peer(inbound, await certificate(root, someone, 1));
  assert.ok(await honest.isAnswered());

  await mesh.api.deleteWorkload(id);
  await until("the thief's connection is closed", () => thief.closed);
  const refused = async () => total(await metricsOf(await users.admin()), "weft_refused_total", { error: "WEFT-P-PEER-REVOKED" });
  const earlier = await refused();
  assert.equal(await new Peer(inbound, stolen).isAnswered(), false);
  await until("it is counted", async () => (await refused()) > earlier);
  assert.ok(await honest.isAnswered(), "others' connections go on");
  honest.socket.destroy();

  await until("its sidecar is gone", () => !isAlive(sidecar), { diagnose: () => web.running.describe() });
  await until("its launcher says so", () => web.running.stderr.includes("WEFT-L-REMOVED"));
  assert.ok(!web.running.isOver, "its program goes on");
  await until("its calls fail", () => answers().at(-1) !== "200");
  const failed = answers().length;
  await until("and go on failing", () => answers().length > failed + 3);
  assert.ok(!answers().slice(failed).includes("200"));

  await mesh.killController();
  await mesh.up();
  await until("the others are back", async () =>
    (await mesh.api.workloads()).some(({ service, state }) => service === "users" && state === "live"),
  );
  assert.deepEqual(
    (await mesh.api.workloads()).map(({ service }) => service),
    ["users"],
  );
  assert.doesNotMatch(web.running.stderr, /registered anew/);
  const fresh = await mesh.call("web", fixture("fetch", "http://users/"));
  assert.match(fresh.stdout, /^200 /, `started again, it is a new workload: ${fresh.stderr}`);
});

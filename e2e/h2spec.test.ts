import assert from "node:assert/strict";
import { type AddressInfo, createServer, type Server } from "node:net";
import { after, before, test } from "node:test";
import { connect } from "node:tls";
import { type Ended, execute, type Member, Mesh, need } from "@weft/testkit";
import { certificate, rootOf } from "./certificates.ts";
import { fixture } from "./fixtures.ts";
import { goPart } from "./matrix/parts.ts";

// h2spec, which sends a server what HTTP/2 allows and what it forbids: a sidecar answers all of it as the RFCs ask, to its own program and to its peers.

/** Long enough for h2spec, which cuts the head of its requests after 10 bytes. */
const name = "answers-as-asked";

let mesh: Mesh;
let service: Member;
before(async () => {
  mesh = await Mesh.start();
  service = await mesh.run(name, fixture("plain-http2", 8080), { options: ["--port", "80:8080"] });
});
after(() => mesh[Symbol.asyncDispose]());

const h2spec = "github.com/summerwind/h2spec/cmd/h2spec";
/** Where it asks, and for how long it waits for each answer. */
const at = (host: string, port: number) => ["-h", host, "-p", String(port), "-o", "5"];

function isWhole({ code, stdout, stderr }: Ended): void {
  assert.match(stdout, /\n145 tests, 145 passed, 0 skipped, 0 failed/, `${stdout}${stderr}`);
  assert.equal(code, 0, stderr);
}

test("a sidecar is whole towards its own program", { timeout: 500_000 }, async (t) => {
  const parts = need(t, "go");
  if (!parts) return;
  isWhole(await mesh.call("asking", [await goPart(parts.go, h2spec), ...at(name, 80)], { timeoutMs: 180_000 }));
});

test("a sidecar is whole towards its peers", { timeout: 500_000 }, async (t) => {
  const parts = need(t, "go");
  if (!parts) return;
  const peer = await peerOf(service);
  try {
    isWhole(await execute(await goPart(parts.go, h2spec), at("127.0.0.1", (peer.address() as AddressInfo).port), { timeoutMs: 180_000 }));
  } finally {
    peer.close();
  }
});

/** Listens for clear connections and carries each to a member's sidecar, as a peer with a certificate of the mesh. */
async function peerOf(member: Member): Promise<Server> {
  const credential = await certificate(await rootOf(mesh.state), "spiffe://weft.local/ns/default/sa/peer", 1);
  const port = Number((await member.workload()).sidecar?.inbound.split(":").at(-1));
  const server = createServer((client) => {
    const sidecar = connect({
      ...credential,
      host: "127.0.0.1",
      port,
      servername: `p80.${name}.default`,
      ALPNProtocols: ["weft-h2/1"],
      rejectUnauthorized: false,
    });
    for (const [from, to] of [
      [client, sidecar],
      [sidecar, client],
    ] as const) {
      from.pipe(to);
      from.on("error", () => to.destroy());
      from.on("close", () => to.destroy());
    }
  });
  await new Promise<void>((listens) => server.listen(0, "127.0.0.1", listens));
  return server;
}

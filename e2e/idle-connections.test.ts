import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type Member, Mesh } from "@weft/testkit";
import { Siege, summary } from "./attacks.ts";
import { failures } from "./faults.ts";
import { fixture } from "./fixtures.ts";

// Programs that open more connections than their sidecar, or that of the service, has descriptors for, and do nothing with them. Others go on calling.

const long = process.env.WEFT_LONG === "1";
/** The limit of open files, a tenth of the usual one in the short form, and connections beyond what it leaves room for. */
const [openFiles, connections] = long ? [20_000, 9_000] : [2_000, 2_500];

let mesh: Mesh;
let service: Member;
before(async () => {
  mesh = await Mesh.start();
  service = await mesh.run("calm", fixture("replica", 8080, "calm"), { options: ["--port", "80:8080", "--no-publish"], openFiles });
});
after(() => mesh[Symbol.asyncDispose]());

for (const kind of ["silent", "letter", "head", "bodies", "http2", "streams"])
  test(`${connections} connections (${kind}) keep nobody from calling`, { timeout: long ? 600_000 : 180_000 }, async (t) => {
    const attack = fixture("idle", "calm", 80, kind, connections, 8);
    await using siege = await Siege.start(mesh, service, "http1", "http://calm/", attack, `idle-${kind}`, openFiles);
    const endured = await siege.attack(long ? 240_000 : 60_000);
    t.diagnostic(`${endured.said.trim()}; ${summary(endured)}`);
    assert.deepEqual(failures(endured.beside), []);
    for (const [side, { descriptors }] of Object.entries(endured.most))
      assert.ok(descriptors < openFiles - 100, `the sidecar of the ${side} had ${descriptors} descriptors`);
    // Those that the polite clients opened beside the attack stay, and are fewer than half of what it took.
    await siege.recovered({ anonymous: Number.POSITIVE_INFINITY, descriptors: 300 });
  });

test("weft check says who ran short of room", async () => {
  const { stdout } = await mesh.weft(["check"]);
  assert.match(stdout, /! room for connections: Sidecars of .*WEFT-P-TOO-MANY-CONNECTIONS/);
});

import { after, before, test } from "node:test";
import { Mesh } from "@weft/testkit";
import { mail, sshd } from "./hosts.ts";
import { pairs } from "./mail-and-ssh.ts";
import { toolsFor } from "./tools.ts";

// A mail server and a secure shell with their own clients: see mail-and-ssh.ts for what they do.

let mesh: Mesh;
before(async () => {
  mesh = await Mesh.start();
});
after(() => mesh[Symbol.asyncDispose]());

for (const [server, name, port, make] of [
  ["aiosmtpd", "mail", 25, mail],
  ["sshd", "host", 22, sshd],
] as const) {
  test(`${server} as server`, { timeout: 120_000 }, async (t) => {
    const command = await make(t, mesh.folder, port);
    if (!command) return;
    await mesh.run(name, command, { options: ["--port", String(port), "--no-publish"] });
    for (const { client, cases } of pairs.filter((pair) => pair.server === server)) {
      for (const { what, run } of cases) await t.test(`${client}: ${what}`, () => run(toolsFor(mesh, `${name}-client`)));
    }
  });
}

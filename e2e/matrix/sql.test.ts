import { after, before, test } from "node:test";
import { Mesh, until } from "@weft/testkit";
import { mariadb, postgres } from "./databases.ts";
import { pairs } from "./sql.ts";
import { toolsFor } from "./tools.ts";

// Databases and their own clients: see sql.ts for what they do.

let mesh: Mesh;
before(async () => {
  mesh = await Mesh.start();
});
after(() => mesh[Symbol.asyncDispose]());

for (const [server, name, port, make] of [
  ["PostgreSQL", "pg", 5432, postgres],
  ["MariaDB", "maria", 3306, mariadb],
] as const) {
  test(`${server} as server`, { timeout: 180_000 }, async (t) => {
    const command = await make(t, mesh.folder, port);
    if (!command) return;
    await mesh.run(name, command, { options: ["--port", String(port), "--no-publish"] });
    const ready =
      server === "PostgreSQL"
        ? ["psql", "-h", name, "-U", "weft", "-d", "postgres", "-c", "select 1"]
        : ["mariadb", "-h", name, "-u", "weft", "-e", "use test"];
    await until(`${server} answers`, async () => (await mesh.call("early", ready)).code === 0, { timeoutMs: 60_000 });
    for (const { client, cases } of pairs.filter((pair) => pair.server === server)) {
      for (const { what, run } of cases) await t.test(`${client}: ${what}`, () => run(toolsFor(mesh, client)));
    }
  });
}

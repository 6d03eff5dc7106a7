import assert from "node:assert/strict";
import { after, before, type TestContext, test } from "node:test";
import { execute, freePort, Mesh, percentile, Running, until } from "@weft/testkit";
import { mariadb } from "./databases.ts";
import { mail, sshd } from "./hosts.ts";
import { nodePart } from "./parts.ts";

// Servers that speak first are hardly kept waiting: what the mesh adds between the start of a connection and its first byte, on the first contact from a
// sidecar that saw nothing of the service before, and later. Each is measured beside a server of the same kind that is called directly.

const clients = process.env.WEFT_LONG ? 41 : 9;
const connections = 5;

/** What may be added, milliseconds: on the first contact, and later, when only the way through two more processes may, and no wait. */
const limits = { first: 20, later: 10 };

let mesh: Mesh;
before(async () => {
  mesh = await Mesh.start();
});
after(() => mesh[Symbol.asyncDispose]());

const servers: {
  server: string;
  name: string;
  port: number;
  make: (t: TestContext, port: number, name: string) => Promise<string[] | undefined>;
}[] = [
  { server: "MariaDB", name: "maria", port: 3306, make: (t, port, name) => mariadb(t, mesh.folder, port, name) },
  { server: "MariaDB on another port", name: "maria-else", port: 3333, make: (t, port, name) => mariadb(t, mesh.folder, port, name) },
  { server: "an SMTP server", name: "mail", port: 25, make: async (t, port) => mail(t, mesh.folder, port) },
  { server: "an SSH server", name: "ssh", port: 22, make: (t, port) => sshd(t, mesh.folder, port) },
];

const at = (share: number, values: number[]) =>
  percentile(
    values.toSorted((a, b) => a - b),
    share,
  );

/** Of several clients, the median of the first connections, and what a quarter of the later ones stayed below: a busy machine delays some, a wait would delay all. */
async function measure(
  run: () => Promise<{ code: number | null; stdout: string; stderr: string }>,
): Promise<{ first: number; later: number }> {
  const [first, later]: [number[], number[]] = [[], []];
  for (let client = 0; client < clients; client++) {
    const { code, stdout, stderr } = await run();
    assert.equal(code, 0, stderr);
    const [one = Number.NaN, ...others]: number[] = JSON.parse(stdout);
    first.push(one);
    later.push(...others);
  }
  return { first: at(0.5, first), later: at(0.25, later) };
}

for (const { server, name, port, make } of servers) {
  test(`${server}: less than ${limits.first} ms are added to its first byte on first contact, and hardly any later`, {
    timeout: 180_000,
  }, async (t) => {
    const ownPort = await freePort();
    const [meshed, direct] = [await make(t, port, name), await make(t, ownPort, `${name}-direct`)];
    if (!meshed || !direct) return;
    const [program = "", ...args] = direct;
    const beside = new Running(program, args);
    try {
      await mesh.run(name, meshed, { options: ["--port", String(port), "--no-publish"] });
      const calls = (host: string, to: number, count = connections) => nodePart("first-byte", host, String(to), String(count));
      const [node = "", ...direct] = calls("127.0.0.1", ownPort);
      const directly = () => execute(node, direct, { timeoutMs: 10_000 });
      await until("the server without a mesh speaks", async () => (await directly()).code === 0, { timeoutMs: 30_000 });
      await until(
        "the server in the mesh speaks",
        async () => (await mesh.call("early", calls(name, port), { timeoutMs: 10_000 })).code === 0,
      );
      const without = await measure(directly);
      const within = await measure(() => mesh.call("caller", calls(name, port)));
      const added = { first: within.first - without.first, later: within.later - without.later };
      const ms = ({ first, later }: typeof added) => `first ${first.toFixed(1)} ms, later ${later.toFixed(1)} ms`;
      t.diagnostic(`${server}: without a mesh ${ms(without)}; through it ${ms(within)}; added ${ms(added)}`);
      assert.ok(added.first < limits.first && added.later < limits.later, ms(added));
    } finally {
      await beside.stop();
    }
  });
}

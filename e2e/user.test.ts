import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { execute, Mesh, need, ordinaryUser, type User, unavailable, until } from "@weft/testkit";

// Built once, everything works for an ordinary user: no root, no capability, no setuid program.

let user: User;
let mesh: Mesh;
before(async () => {
  user = ordinaryUser();
  mesh = await Mesh.start(user);
});
after(() => mesh[Symbol.asyncDispose]());

/** A fixture's command line, in the copy that the user may read. */
const fixture = (name: string, ...args: string[]) => {
  const node = process.execPath.replace(/^.*\/node_modules\//, `${user.root}/node_modules/`);
  return [node, `${user.root}/e2e/fixtures/${name}.ts`, ...args];
};

test("the tests' user has no privilege", async () => {
  assert.notEqual(user.uid, 0);
  const [program = "grep", ...args] = [...user.prefix, "grep", "CapEff", "/proc/self/status"];
  assert.match((await execute(program, args)).stdout, /CapEff:\s+0000000000000000/);
});

test("two unmodified programs call each other through their sidecars, in namespaces of their own", { timeout: 60_000 }, async (t) => {
  const users = await mesh.run("users", fixture("echo", "80"), { options: ["--port", "80"] });
  const { redirection, redirectionReason } = await users.workload();
  assert.equal(redirection, "namespace", redirectionReason);
  const { code, stdout, stderr } = await mesh.call("caller", fixture("fetch", "http://users/", "http://users.default.weft/"));
  assert.equal(code, 0, stderr);
  assert.equal(stdout.match(/^200 /gm)?.length, 2, stdout + stderr);
  assert.match(stderr, /namespace/, "weft run says which way it took");
  const { stdout: edges } = await mesh.weft(["edges", "-o", "json"]);
  const edge = JSON.parse(edges).find(({ from }: { from: string }) => from === "caller.default");
  assert.equal(edge?.secured, true, edges);
  const parts = need(t, "curl");
  if (!parts) return;
  const byCurl = await mesh.call("curl", [parts.curl, "-sS", "--max-time", "15", "http://users/"]);
  assert.equal(JSON.parse(byCurl.stdout).host, "users", byCurl.stderr);
});

test("the fallback by proxy variables carries the same calls", { timeout: 60_000 }, async () => {
  await mesh.run("orders", fixture("echo", "8077"), { options: ["--port", "8077", "--redirect", "proxy"] });
  const { stdout, stderr, code } = await mesh.weft([
    "run",
    "outside",
    "--redirect",
    "proxy",
    "--",
    ...fixture("fetch", "http://orders/", "http://users/"),
  ]);
  assert.equal(code, 0, stderr);
  assert.equal(stdout.match(/^200 /gm)?.length, 2, stdout + stderr);
  assert.match(stderr, /proxy/);
});

test("a workload's proxy and upstreams are for programs of its own user, root included, and for no other workload", {
  timeout: 90_000,
}, async (t) => {
  const program = `
    const { HTTP_PROXY, WEFT_UPSTREAM_USERS } = process.env;
    console.log(JSON.stringify({ proxy: new URL(HTTP_PROXY).port, upstream: WEFT_UPSTREAM_USERS.split(":")[1] }));
    setInterval(() => {}, 1000);`;
  const [node = process.execPath] = fixture("echo");
  const owner = await mesh.run("owner", [node, "-e", program], {
    options: ["--redirect", "proxy", "--upstream", "users:80"],
    endpoints: 0,
  });
  const { proxy, upstream } = JSON.parse(await until("its ports", () => /^\{.*\}$/m.exec(owner.running.stdout)?.[0] ?? false));
  const direct = (port: string) => [
    node,
    "-e",
    `require("http").get({ host: "127.0.0.1", port: ${port}, agent: false, path: "http://users/", headers: { host: "users" } }, (answer) => console.log(answer.resume().statusCode))
      .on("error", (error) => console.log(error.code))`,
  ];
  const run = async ([command = "", ...args]: string[]) => (await execute(command, args)).stdout.trim();
  for (const port of [proxy, upstream]) {
    assert.equal(await run([...user.prefix, ...direct(port)]), "200", "its own user");
    const meshed = await mesh.call("other", direct(port));
    assert.equal(meshed.stdout.trim(), "ECONNRESET", `another workload: ${meshed.stderr}`);
    if (process.getuid?.() === 0) assert.equal(await run(direct(port)), "ECONNRESET", "root");
  }
  const { stdout: log } = await mesh.weft(["logs", "owner"]);
  assert.match(log, /WEFT-P-FOREIGN-CALLER/);
  if (process.getuid?.() !== 0) unavailable(t, "another user needs root");
});

test("weft demo works, and leaves nothing behind", { timeout: 90_000 }, async () => {
  const { code, stderr, stdout } = await mesh.weft(["demo", "--once"], { env: { ...mesh.env, TMPDIR: mesh.folder }, timeoutMs: 60_000 });
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^payments +\d/m);
});

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type Ended, execute, Mesh, ordinaryUser, until } from "@weft/testkit";
import { fixture } from "./fixtures.ts";

// Bad input: a clear message or a clean close, in bounded time, and the rest goes on.

let mesh: Mesh;
before(async () => {
  mesh = await Mesh.start();
  await mesh.run("users", fixture("echo", 8080), { options: ["--port", "8080", "--no-publish"] });
});
after(() => mesh[Symbol.asyncDispose]());

/** The command failed as it should: with this exit code and one clear message on standard error, with its code, no stack, nothing on standard output. */
function refuses({ code, stdout, stderr }: Ended, exit: number, message: RegExp): void {
  assert.equal(code, exit, stderr);
  assert.match(stderr, message);
  assert.match(stderr, /\(WEFT-[CLP]-[A-Z-]+\)/);
  assert.doesNotMatch(stderr, /\n\s+at /, "no stack trace");
  assert.equal(stdout, "");
}

const serves = async () => {
  const { stdout, stderr } = await mesh.call("caller", fixture("fetch", "http://users/"));
  assert.match(stdout, /^200 /, stderr);
};

test("an unknown command names the nearest one", async () => refuses(await mesh.weft(["stats"]), 2, /Did you mean .*\bstat\b/));

test("an unknown flag names the nearest one", async () => refuses(await mesh.weft(["stat", "--windw", "10s"]), 2, /--window/));

test("a name that is no DNS label is refused with one that is", async () =>
  refuses(await mesh.weft(["run", "My_Service", "--", "true"]), 2, /my-service/));

test("a port that is none is refused", async () => refuses(await mesh.weft(["run", "x", "--port", "99999", "--", "true"]), 2, /65535/));

test("no program to run", async () => refuses(await mesh.weft(["run", "x"]), 2, /after `--`/));

test("a program that is not found: 127, as a shell says", async () =>
  refuses(await mesh.weft(["run", "x", "--", "no-such-program-anywhere"]), 127, /no-such-program-anywhere/));

test("a program that cannot be executed: 126", async () => {
  const file = join(mesh.folder, "not-executable");
  writeFileSync(file, "data");
  refuses(await mesh.weft(["run", "x", "--", file]), 126, /not-executable/);
});

test("a program that exits at once: its exit code, and its workload is gone", async () => {
  const { code } = await mesh.weft(["run", "short", "--", "sh", "-c", "exit 42"]);
  assert.equal(code, 42);
  await until("the workload is gone", async () => !(await mesh.api.workloads()).some(({ service }) => service === "short"));
});

test("a published port in use: the service runs, and says that it is not published", { timeout: 60_000 }, async () => {
  await using taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
  const { port } = taken.address() as { port: number };
  const member = await mesh.run("busy", fixture("echo", port), { options: ["--port", String(port)] });
  assert.match(member.running.stderr, new RegExp(`127\\.0\\.0\\.1:${port}.*WEFT-L-PORT-TAKEN`));
  const { stdout, stderr } = await mesh.call("caller", fixture("fetch", `http://busy:${port}/`));
  assert.match(stdout, /^200 /, stderr);
});

test("a page port in use", { timeout: 60_000 }, async () => {
  await using taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
  const { port } = taken.address() as { port: number };
  const state = join(mesh.folder, "other");
  refuses(await mesh.weft(["up", "--state", state, "--page-port", String(port)]), 1, new RegExp(`${port}`));
});

test("a state directory that cannot be written", { timeout: 60_000 }, async () => {
  const user = ordinaryUser();
  await using theirs = await Mesh.start(user);
  const locked = join(theirs.folder, "locked");
  mkdirSync(locked);
  chmodSync(locked, 0o555);
  refuses(await theirs.weft(["up", "--state", join(locked, "state")]), 1, /locked/);
  refuses(await theirs.weft(["run", "x", "--state", join(locked, "state"), "--", "true"]), 1, /locked/);
});

test("a state directory that is a file", async () => {
  const file = join(mesh.folder, "file");
  writeFileSync(file, "");
  refuses(await mesh.weft(["up", "--state", file]), 1, /file/);
});

test("a second controller on the same state uses the first, and a stale socket is no obstacle", { timeout: 60_000 }, async () => {
  const { pid } = await mesh.api.status();
  const again = await mesh.weft(["up", "-o", "json"]);
  assert.equal(JSON.parse(again.stdout).pid, pid);
  const main = join(import.meta.dirname, "..", "packages", "controller", "src", "main.ts");
  const second = await execute(process.execPath, [main, "--state", mesh.state]);
  assert.equal(second.code, 1);
  assert.match(second.stderr, /WEFT-C-ALREADY-RUNNING/);

  await mesh.killController();
  await mesh.up();
  await serves();
});

test("no controller: weft stat says so and how to start one", { timeout: 60_000 }, async () => {
  const nowhere = await mesh.weft(["stat", "--state", join(mesh.folder, "nowhere")]);
  refuses(nowhere, 1, /weft up/);
});

/** Connects, sends, and answers whether the other side closed within `limitMs`. */
function closes(port: number, bytes: Buffer, limitMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(bytes));
    socket.resume();
    const timer = setTimeout(() => {
      resolve(false);
      socket.destroy();
    }, limitMs);
    socket.on("error", () => {});
    socket.on("close", () => {
      clearTimeout(timer);
      resolve(true);
    });
  });
}

test("garbage on every port is closed, and the rest goes on", { timeout: 120_000 }, async () => {
  const ports = [...new Set(mesh.holdings().ports)];
  assert.ok(ports.length >= 3, `ports: ${ports}`);
  const garbage = [
    randomBytes(4096),
    Buffer.from("GET / HTTP/9.9\r\n\r\n"),
    Buffer.from(`GET /${"x".repeat(200_000)} HTTP/1.1\r\n`),
    Buffer.alloc(65_536),
  ];
  const results = await Promise.all(
    ports.flatMap((port) => garbage.map(async (bytes, kind) => ({ port, kind, closed: await closes(port, bytes, 30_000) }))),
  );
  assert.deepEqual(
    results.filter(({ closed }) => !closed),
    [],
  );
  await serves();
});

test("silence on every port of Weft's own is closed within 20 s, and the rest goes on", { timeout: 60_000 }, async () => {
  // A published port is the program's: who may be silent there, and for how long, it decides itself.
  const published = (await mesh.api.workloads()).flatMap((workload) => workload.published);
  const ports = [...new Set(mesh.holdings().ports)].filter((port) => !published.includes(port));
  const results = await Promise.all(ports.map(async (port) => ({ port, closed: await closes(port, Buffer.alloc(0), 20_000) })));
  assert.deepEqual(
    results.filter(({ closed }) => !closed),
    [],
  );
  await serves();
});

test("garbage through a sidecar reaches an opaque service untouched", { timeout: 60_000 }, async () => {
  const echo = `require("net").createServer((s) => s.on("error", () => {}).pipe(s)).listen(7000, "0.0.0.0")`;
  await mesh.run("raw", [process.execPath, "-e", echo], { options: ["--port", "7000:7000/tcp", "--no-publish"] });
  const caller = `const bytes = require("crypto").randomBytes(300000); let got = Buffer.alloc(0);
    const s = require("net").connect(7000, "raw", () => s.write(bytes));
    s.on("data", (d) => { got = Buffer.concat([got, d]); if (got.length >= bytes.length) { console.log(got.equals(bytes)); s.destroy(); } });`;
  const { stdout, stderr } = await mesh.call("rawcaller", [process.execPath, "-e", caller], { timeoutMs: 20_000 });
  assert.equal(stdout, "true\n", stderr);
});

test("garbage on the controller's sockets changes nothing", { timeout: 60_000 }, async () => {
  for (const socket of ["api.sock", "control.sock"]) {
    await new Promise<void>((resolve) => {
      const connection = connect(join(mesh.state, socket), () => connection.end(randomBytes(10_000)));
      connection
        .resume()
        .on("error", () => {})
        .on("close", () => resolve());
    });
  }
  await serves();
});

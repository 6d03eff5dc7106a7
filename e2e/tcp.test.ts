import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Mesh, need, notRoot, succeed, until } from "@weft/testkit";

// Protocols that the mesh does not know: bytes go through untouched, whoever speaks first.

let mesh: Mesh;
before(async () => {
  mesh = await Mesh.start();
});
after(() => mesh[Symbol.asyncDispose]());

test("Redis answers redis-cli and redis-benchmark", { timeout: 90_000 }, async (t) => {
  const parts = need(t, "redis-server", "redis-cli", "redis-benchmark");
  if (!parts) return;
  const options = ["--port", "6379", "--bind", "0.0.0.0", "--protected-mode", "no", "--save", "", "--dir", mesh.folder];
  await mesh.run("redis", [parts["redis-server"], ...options], { options: ["--port", "6379:6379"] });
  const cli = (...args: string[]) => mesh.call("redis-cli", [parts["redis-cli"], "-h", "redis", ...args]);
  assert.equal((await cli("ping")).stdout.trim(), "PONG");
  assert.equal((await cli("set", "key", "value")).stdout.trim(), "OK");
  assert.equal((await cli("get", "key")).stdout.trim(), "value");

  const args = ["-h", "redis", "-n", "20000", "-c", "20", "-t", "set,get", "-q", "--csv"];
  const bench = await mesh.call("redis-benchmark", [parts["redis-benchmark"], ...args], { timeoutMs: 60_000 });
  assert.equal(bench.code, 0, bench.stderr);
  assert.match(bench.stdout, /"GET"/);
  const info = (await cli("info", "stats")).stdout;
  const processed = Number(/total_commands_processed:(\d+)/.exec(info)?.[1]);
  assert.ok(processed >= 40_000, `Redis processed ${processed} commands`);

  const row = await mesh.row("redis", "inbound", ({ totals }) => totals.connections.tcp.requestBytes > 1_000_000);
  assert.ok(row.totals.connections.tcp.responseBytes > 100_000);
  assert.equal(row.totals.requests, 0);
});

test("PostgreSQL answers psql", { timeout: 90_000 }, async (t) => {
  const parts = need(t, "postgres", "initdb", "psql");
  if (!parts) return;
  const data = join(mesh.folder, "postgres");
  mkdirSync(data);
  const asUser = notRoot();
  if (asUser.length > 0) spawnSync("chown", ["65534:65534", data]);
  const [program = parts.initdb, ...rest] = [...asUser, parts.initdb];
  await succeed(program, [...rest, "-D", data, "-A", "trust", "-U", "weft", "--no-sync"], { env: { ...process.env, HOME: data } });
  const settings = ["listen_addresses=0.0.0.0", `unix_socket_directories=${data}`, "fsync=off"].flatMap((setting) => ["-c", setting]);
  spawnSync("sh", ["-c", `echo 'host all all 0.0.0.0/0 trust' >> ${data}/pg_hba.conf`]);
  await mesh.run("db", [...asUser, parts.postgres, "-D", data, "-p", "5432", ...settings], { options: ["--port", "5432:5432"] });

  const psql = (sql: string) => mesh.call("psql", [parts.psql, "-h", "db", "-U", "weft", "-d", "postgres", "-At", "-c", sql]);
  await until("PostgreSQL accepts queries", async () => (await psql("select 1")).stdout.trim() === "1");
  assert.equal((await psql("select sum(n) from generate_series(1, 100000) n")).stdout.trim(), "5000050000");
  const big = await psql("select repeat('weft', 500000)");
  assert.equal(big.stdout.trim().length, 2_000_000, big.stderr);
});

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { until } from "@weft/testkit";
import type { Case, Pair, Tools } from "./tools.ts";

// Databases: PostgreSQL on "pg:5432", MariaDB on "maria:3306".

const inPsql = (...statements: string[]) => [
  "psql",
  "-h",
  "pg",
  "-U",
  "weft",
  "-d",
  "postgres",
  "-AtX",
  ...statements.flatMap((sql) => ["-c", sql]),
];
const inMaria = (sql: string) => ["mariadb", "-h", "maria", "-u", "weft", "--local-infile=1", "-N", "-B", "-e", sql];

const large = "select repeat('weft', 1250000)";
const digestOfLarge = createHash("md5")
  .update(`${"weft".repeat(1_250_000)}\n`)
  .digest("hex");

/** MD5 of what a client prints. */
const digest = async (client: Tools["client"], command: string[]) =>
  (await client(["sh", "-c", '"$@" | md5sum', "sh", ...command])).split(" ")[0];

/** A file of 100 000 rows with tabs between their two columns. */
function rows({ folder }: Tools): string {
  const file = join(folder, "rows");
  writeFileSync(file, Array.from({ length: 100_000 }, (_, index) => `${index + 1}\trow ${index + 1}\n`).join(""));
  return file;
}

const psql: Case[] = [
  {
    what: "a value of 5 MB",
    run: async ({ client }) => assert.equal(await digest(client, inPsql(large)), digestOfLarge),
  },
  {
    what: "200 000 rows",
    run: async ({ client }) => {
      const numbers = (await client(inPsql("select n from generate_series(1, 200000) n"))).split("\n").map(Number);
      assert.deepEqual([numbers.length, numbers.at(-1)], [200_000, 200_000]);
    },
  },
  {
    what: "COPY of 100 000 rows in and out",
    run: async (tools) => {
      const file = rows(tools);
      const back = join(tools.folder, "copied");
      const copied = await tools.client(
        inPsql("create table copied(n int, s text)", `\\copy copied from '${file}'`, `\\copy copied to program 'md5sum > ${back}'`),
      );
      assert.match(copied, /COPY 100000\nCOPY 100000$/);
      assert.equal(await tools.client(["sh", "-c", `md5sum < ${file} | cmp - ${back} && echo same`]), "same");
    },
  },
  {
    what: "an error, after which the session goes on",
    run: async ({ attempt }) => {
      const { stdout, stderr } = await attempt(inPsql("select 1 / 0", "select 'on'"));
      assert.equal(stdout, "on\n");
      assert.match(stderr, /division by zero/);
    },
  },
  {
    what: "a prepared statement",
    run: async ({ client }) =>
      assert.match(await client(inPsql("prepare p(int) as select $1 * 2", "execute p(21)", "execute p(4)")), /42\n8$/),
  },
  {
    what: "LISTEN, and NOTIFY from another client",
    run: async ({ client }) => {
      const waits = Array.from({ length: 25 }, () => "select from pg_sleep(0.1)");
      const listening = client(inPsql("listen news", ...waits));
      const isListening = "select count(*) from pg_stat_activity where query like '%pg_sleep%' and pid <> pg_backend_pid()";
      await until("somebody listens", async () => (await client(inPsql(isListening))) === "1", { timeoutMs: 5000 });
      await client(inPsql("notify news, 'hello'"));
      assert.match(await listening, /Asynchronous notification "news" with payload "hello"/);
    },
  },
  {
    what: "a query that the user interrupts",
    run: async ({ attempt }) => {
      const { stderr } = await attempt(["timeout", "-s", "INT", "1", ...inPsql("select pg_sleep(30)")], 20_000);
      assert.match(stderr, /canceling statement due to user request/);
    },
  },
];

const pgbench: Case[] = [
  {
    what: "its tables, and 4 clients with prepared statements and transactions",
    run: async ({ client }) => {
      const to = ["-h", "pg", "-U", "weft", "postgres"];
      await client(["pgbench", "-i", "-q", ...to]);
      const said = await client(["pgbench", "-n", "-c", "4", "-j", "2", "-t", "100", "-M", "prepared", ...to]);
      assert.match(said, /actually processed: 400\/400/);
      assert.match(said, /failed transactions: 0 /);
    },
  },
];

const mariadb: Case[] = [
  { what: "the server's greeting and a query", run: async ({ client }) => assert.equal(await client(inMaria("select 6 * 7")), "42") },
  {
    what: "a value of 5 MB",
    run: async ({ client }) => assert.equal(await digest(client, inMaria(large)), digestOfLarge),
  },
  {
    what: "200 000 rows",
    run: async ({ client }) => {
      const numbers = (await client(inMaria("select seq from test.seq_1_to_200000"))).split("\n").map(Number);
      assert.deepEqual([numbers.length, numbers.at(-1)], [200_000, 200_000]);
    },
  },
  {
    what: "LOAD DATA of 100 000 rows",
    run: async (tools) => {
      const sql = `create table test.t(n int, s text); load data local infile '${rows(tools)}' into table test.t; select count(*), sum(n) from test.t`;
      assert.equal(await tools.client(inMaria(sql)), "100000\t5000050000");
    },
  },
  {
    what: "a prepared statement, a transaction that is rolled back, and an error",
    run: async ({ client, attempt }) => {
      assert.equal(await client(inMaria("prepare p from 'select ? * 2'; set @n = 21; execute p using @n")), "42");
      const rolledBack =
        "create table test.r(n int) engine=innodb; begin; insert into test.r values (1); rollback; select count(*) from test.r";
      assert.equal(await client(inMaria(rolledBack)), "0");
      assert.match((await attempt(inMaria("select nothing from nowhere.at_all"))).stderr, /ERROR 1146/);
    },
  },
];

const mariadbSlap: Case[] = [
  {
    what: "4 clients with 200 statements",
    run: async ({ client }) => {
      const load = ["--concurrency=4", "--number-of-queries=200", "--auto-generate-sql", "--auto-generate-sql-load-type=mixed", "--csv"];
      assert.match(await client(["mariadb-slap", "-h", "maria", "-u", "weft", ...load]), /mixed,/);
    },
  },
];

export const pairs: Pair[] = [
  { client: "psql", server: "PostgreSQL", cases: psql },
  { client: "pgbench", server: "PostgreSQL", cases: pgbench },
  { client: "mariadb", server: "MariaDB", cases: mariadb },
  { client: "mariadb-slap", server: "MariaDB", cases: mariadbSlap },
];

import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { need, notRoot, succeed } from "@weft/testkit";

// How databases of a test's own are made. Both run as somebody else than root, in a folder that goes away with the test.

function folderFor(parent: string, name: string): string {
  const data = join(parent, name);
  mkdirSync(data);
  if (notRoot().length > 0) spawnSync("chown", ["65534:65534", data]);
  return data;
}

const asUser = (command: string[]) => [...notRoot(), ...command];

async function run(command: string[], home: string): Promise<void> {
  const [program = "", ...args] = asUser(command);
  await succeed(program, args, { env: { ...process.env, HOME: home } });
}

/** Makes an empty PostgreSQL and answers the command that serves it. */
export async function postgres(t: TestContext, parent: string, port: number): Promise<string[] | undefined> {
  const parts = need(t, "postgres", "initdb", "psql", "pgbench");
  if (!parts) return undefined;
  const data = folderFor(parent, "postgres");
  await run([parts.initdb, "-D", data, "-A", "trust", "-U", "weft", "--no-sync"], data);
  spawnSync("sh", ["-c", `echo 'host all all 0.0.0.0/0 trust' >> ${data}/pg_hba.conf`]);
  const settings = ["listen_addresses=*", `unix_socket_directories=${data}`, "fsync=off"].flatMap((setting) => ["-c", setting]);
  return asUser([parts.postgres, "-D", data, "-p", String(port), ...settings]);
}

/** Makes an empty MariaDB and answers the command that serves it. */
export async function mariadb(t: TestContext, parent: string, port: number, name = "mariadb"): Promise<string[] | undefined> {
  const parts = need(t, "mariadbd", "mariadb-install-db", "mariadb", "mariadb-slap");
  if (!parts) return undefined;
  const data = folderFor(parent, name);
  const small = ["--innodb-log-file-size=8M", "--innodb-buffer-pool-size=16M"];
  await run(
    [
      parts["mariadb-install-db"],
      "--no-defaults",
      `--datadir=${data}`,
      "--auth-root-authentication-method=normal",
      "--skip-test-db",
      ...small,
    ],
    data,
  );
  const init = join(parent, `${name}.sql`);
  writeFileSync(init, "create user weft@'%';\ngrant all on *.* to weft@'%';\ncreate database test;\n");
  const options = [
    `--datadir=${data}`,
    `--port=${port}`,
    "--bind-address=0.0.0.0",
    `--socket=${data}/sock`,
    "--skip-name-resolve",
    `--init-file=${init}`,
  ];
  return asUser([parts.mariadbd, "--no-defaults", ...options, "--local-infile=1", ...small]);
}

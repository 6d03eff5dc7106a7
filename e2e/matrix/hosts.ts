import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { need, succeed } from "@weft/testkit";
import { mailbox, sshKey } from "./mail-and-ssh.ts";

// How servers that speak first are started.

/** A mail server of Python's aiosmtpd that keeps what it gets. */
export function mail(t: TestContext, folder: string, port: number): string[] | undefined {
  const parts = need(t, "python-requests");
  return (
    parts && [
      parts["python-requests"],
      "-m",
      "aiosmtpd",
      "-n",
      "-l",
      `0.0.0.0:${port}`,
      "-c",
      "aiosmtpd.handlers.Mailbox",
      mailbox({ folder }),
    ]
  );
}

/** An sshd that lets this user in with a key of its own. */
export async function sshd(t: TestContext, folder: string, port: number): Promise<string[] | undefined> {
  const parts = need(t, "sshd", "ssh", "ssh-keygen");
  if (!parts) return undefined;
  const key = sshKey({ folder });
  const hostKey = join(folder, "ssh-host-key");
  for (const file of [key, hostKey]) {
    if (!existsSync(file)) await succeed(parts["ssh-keygen"], ["-q", "-t", "ed25519", "-N", "", "-f", file]);
  }
  const authorized = join(folder, "authorized_keys");
  writeFileSync(authorized, readFileSync(`${key}.pub`));
  chmodSync(authorized, 0o600);
  // Where Debian's service would make it.
  if (process.getuid?.() === 0) mkdirSync("/run/sshd", { recursive: true, mode: 0o755 });
  const settings = [
    `HostKey=${hostKey}`,
    `AuthorizedKeysFile=${authorized}`,
    "StrictModes=no",
    "UsePAM=no",
    "PidFile=none",
    "PermitRootLogin=yes",
  ];
  const sftp = "Subsystem=sftp internal-sftp";
  return [parts.sshd, "-D", "-e", "-f", "/dev/null", "-p", String(port), ...[...settings, sftp].flatMap((setting) => ["-o", setting])];
}

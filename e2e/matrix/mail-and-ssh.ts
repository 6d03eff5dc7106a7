import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { find } from "@weft/testkit";
import { pythonPart } from "./parts.ts";
import type { Case, Pair, Tools } from "./tools.ts";

// Servers that speak first: aiosmtpd on "mail:25", sshd on "host:22". See server-first.test.ts for how long their greeting takes.

/** Where the mail server keeps what it got. */
export const mailbox = ({ folder }: Pick<Tools, "folder">) => join(folder, "mailbox");

/** The key that sshd lets in. */
export const sshKey = ({ folder }: Pick<Tools, "folder">) => join(folder, "ssh-key");

const smtplib: Case[] = [
  {
    what: "a mail of 1 MB whose lines begin with dots, refusals, and another mail",
    run: async (tools) => {
      const saw = JSON.parse(await tools.client([find("python-requests") ?? "", pythonPart("smtp_call"), "mail", "25"]));
      assert.deepEqual(saw, { ehlo: 250, refused: {}, unknown: 500, early: 503 });
      const mails = readdirSync(join(mailbox(tools), "new")).map((name) => readFileSync(join(mailbox(tools), "new", name), "utf8"));
      const [short = "", large = ""] = mails.sort((a, b) => a.length - b.length);
      assert.equal(mails.length, 2);
      assert.match(short, /Subject: short[\s\S]*\nshort\n/);
      assert.equal(large.split("\n").filter((line) => line === ".a line that begins with a dot").length, 34_000);
    },
  },
];

const options = (tools: Tools) => [
  ...["-F", "/dev/null", "-i", sshKey(tools), "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no"],
  ...["-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"],
];

const ssh = (tools: Tools, ...args: string[]) => ["ssh", ...options(tools), "host", ...args];

/** Five megabytes that do not compress. */
const makeNoise = (tools: Tools) => tools.client(["sh", "-c", `head -c 5000000 /dev/urandom > ${join(tools.folder, "noise")}`]);

const openssh: Case[] = [
  {
    what: "a command, its output and its exit code",
    run: async (tools) => {
      const { code, stdout } = await tools.attempt(ssh(tools, "echo out; exit 7"));
      assert.deepEqual([code, stdout], [7, "out\n"]);
    },
  },
  {
    what: "5 MB through a command and back, with the end of input passed on",
    run: async (tools) => {
      await makeNoise(tools);
      const file = join(tools.folder, "noise");
      await tools.client(["sh", "-c", `file=$1; shift; "$@" < "$file" | cmp - "$file"`, "sh", file, ...ssh(tools, "cat")]);
    },
  },
  {
    what: "scp of 5 MB there and back",
    run: async (tools) => {
      await makeNoise(tools);
      const [noise, there, back] = ["noise", "there", "back"].map((name) => join(tools.folder, name));
      await tools.client(["scp", ...options(tools), `${noise}`, `host:${there}`]);
      await tools.client(["scp", ...options(tools), `host:${there}`, `${back}`]);
      assert.equal(await tools.client(["sh", "-c", `cmp ${noise} ${back} && echo same`]), "same");
    },
  },
  {
    what: "a connection forwarded by ssh, over which ssh connects again",
    run: async (tools) => {
      const through = `ProxyCommand=${ssh(tools, "-W", "127.0.0.1:22").join(" ")}`;
      assert.equal(await tools.client(["ssh", ...options(tools), "-o", through, "inner", "echo through"]), "through");
    },
  },
];

export const pairs: Pair[] = [
  { client: "Python smtplib", server: "aiosmtpd", cases: smtplib },
  { client: "ssh, scp", server: "sshd", cases: openssh },
];

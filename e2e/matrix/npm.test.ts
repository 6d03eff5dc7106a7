import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Mesh, until } from "@weft/testkit";
import { cases } from "./npm.ts";
import { npmParts } from "./parts.ts";

// npm and verdaccio, a registry of packages, through the mesh.

let mesh: Mesh;
before(async () => {
  mesh = await Mesh.start();
});
after(() => mesh[Symbol.asyncDispose]());

const registry = "http://verdaccio:4873/";

/** A verdaccio that knows no other registry and lets everybody publish. */
async function verdaccio(): Promise<string[]> {
  const folder = join(mesh.folder, "verdaccio");
  mkdirSync(folder);
  const config = join(folder, "config.yaml");
  writeFileSync(
    config,
    JSON.stringify({
      storage: join(folder, "storage"),
      auth: { htpasswd: { file: join(folder, "htpasswd"), max_users: 10 } },
      uplinks: {},
      packages: { "**": { access: "$all", publish: "$anonymous $all" } },
      log: { type: "stdout", format: "json", level: "warn" },
      max_body_size: "50mb",
    }),
  );
  return [process.execPath, join(await npmParts(), "verdaccio", "bin", "verdaccio"), "-c", config, "-l", "0.0.0.0:4873"];
}

/** Runs npm in a namespace of its own, without the settings of this machine. */
async function npm(folder: string, ...args: string[]): Promise<string> {
  const config = join(folder, "npmrc");
  writeFileSync(config, `registry=${registry}\n//verdaccio:4873/:_authToken=anybody\nfund=false\naudit=false\nupdate-notifier=false\n`);
  const command = [
    "sh",
    "-c",
    'cd "$1" && shift && exec npm "$@"',
    "sh",
    folder,
    ...args,
    "--userconfig",
    config,
    "--globalconfig",
    join(folder, "none"),
  ];
  const { code, stdout, stderr } = await mesh.call("npm", [...command, "--cache", join(folder, "cache")], { timeoutMs: 90_000 });
  assert.equal(code, 0, stdout + stderr);
  return stdout.trim();
}

function write(name: string, description: object, files: Record<string, string> = {}): string {
  const folder = join(mesh.folder, name);
  mkdirSync(folder);
  writeFileSync(join(folder, "package.json"), JSON.stringify({ name, version: "1.0.0", ...description }));
  for (const [file, content] of Object.entries(files)) writeFileSync(join(folder, file), content);
  return folder;
}

test("verdaccio as server, npm as client", { timeout: 300_000 }, async (t) => {
  await mesh.run("verdaccio", await verdaccio(), { options: ["--port", "4873", "--no-publish"] });
  const large = Buffer.from(Array.from({ length: 2_000_000 }, (_, index) => (index * 2_654_435_761) % 251)).toString("base64");
  const steps = [
    async () => {
      await npm(write("leaf", {}, { "index.js": `module.exports = "leaf"`, "large.txt": large }), "publish");
      await npm(
        write("branch", { dependencies: { leaf: "^1.0.0" } }, { "index.js": `module.exports = "branch and " + require("leaf")` }),
        "publish",
      );
    },
    async () => assert.equal(await npm(mesh.folder, "view", "branch", "dependencies.leaf"), "^1.0.0"),
    async () => {
      const tree = write("tree", { dependencies: { branch: "1.0.0" } }, { "index.js": `console.log(require("branch"))` });
      await npm(tree, "install");
      assert.equal(readFileSync(join(tree, "node_modules", "leaf", "large.txt"), "utf8"), large);
      const { stdout } = await mesh.call("node", [process.execPath, join(tree, "index.js")]);
      assert.equal(stdout.trim(), "branch and leaf");
    },
    async () => {
      const { code, stderr } = await mesh.call("npm", ["npm", "view", "no-such-thing", "--registry", registry]);
      assert.notEqual(code, 0);
      assert.match(stderr, /E404/);
    },
  ];
  await until("verdaccio answers", async () => (await mesh.call("early", ["curl", "-sf", `${registry}-/ping`])).code === 0);
  for (const [index, what] of cases.entries()) await t.test(what, steps[index]);
});

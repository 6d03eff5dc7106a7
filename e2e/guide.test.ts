import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { execute, freePort, Mesh, need, Running, root, until } from "@weft/testkit";
import { filesOf, isAsPromised, type Step, stepsOf } from "./console.ts";

// What the documentation shows is what happens: every command in it that is marked as runnable is run, in the page's order, in a mesh of the page's own.

const guide = join("docs", "guide");
const pages = ["README.md", ...readdirSync(join(root, guide)).map((name) => join(guide, name))];

/** Ports that pages name and that are opened on the host: others may have them there. */
const portsOfPages = [8080, 3000];

async function withFreePorts(page: string): Promise<string> {
  let text = page;
  for (const port of portsOfPages) text = text.replaceAll(String(port), String(await freePort()));
  return text;
}

/** Runs a command as often as it takes: a person would look again too, until what was started is ready. */
async function foreground({ command, expected }: Step, options: { env: NodeJS.ProcessEnv; cwd: string }): Promise<void> {
  const run = () => execute("bash", ["-c", `{ ${command}\n} 2>&1`], { ...options, timeoutMs: 20_000 });
  let last = "";
  const attempt = async () => {
    const { code, stdout } = await run();
    last = stdout;
    return expected.length === 0 ? code === 0 : isAsPromised(stdout, expected);
  };
  await until(`what ${command} prints`, attempt, { diagnose: () => `expected:\n${expected.join("\n")}\nbut it printed:\n${last}` });
}

/** Starts a command and waits until what it serves can be called: a request that comes earlier fails, as the pages would not show. */
async function background({ command, expected }: Step, mesh: Mesh, options: { env: NodeJS.ProcessEnv; cwd: string }): Promise<Running> {
  const running = new Running("bash", ["-c", `exec ${command} 2>&1`], options);
  await until(`what ${command} prints`, () => isAsPromised(running.stdout, expected), { diagnose: () => running.describe() });
  const services = () => mesh.api.services();
  await until("every service can be called", async () => (await services()).every(({ endpoints }) => endpoints.length > 0), {
    diagnose: () => running.describe(),
  });
  return running;
}

for (const path of pages) {
  test(`${path}: every command prints what the page says`, { timeout: 180_000 }, async (t) => {
    const page = await withFreePorts(readFileSync(join(root, path), "utf8"));
    const steps = stepsOf(page);
    assert.ok(steps.length > 0, "a page has something to run");
    if (!need(t, "curl", "bash", "node")) return;
    await using mesh = await Mesh.start();
    const options = { env: { ...mesh.env, PATH: `${join(root, "bin")}:${process.env.PATH}` }, cwd: mesh.folder };
    for (const { name, text } of filesOf(page)) writeFileSync(join(mesh.folder, name), text);
    const started: Running[] = [];
    try {
      for (const step of steps) {
        t.diagnostic(`${path}:${step.line}: ${step.command}`);
        if (step.background) started.push(await background(step, mesh, options));
        else await foreground(step, options);
      }
    } finally {
      await Promise.all(started.map((running) => running.stop()));
    }
  });
}

test("a block is run only when it is marked; commands may go on over lines, and in the background", () => {
  const page = "```console\n$ not this\n```\n```console run\n$ one \\\n  more &\nsays\n\n$ two\n```\n$ nor this\n";
  assert.deepEqual(stepsOf(page), [
    { command: "one \\\n  more", background: true, expected: ["says", ""], line: 5 },
    { command: "two", background: false, expected: [], line: 9 },
  ]);
});

test("files that a page shows are there under their names", () => {
  const page = "```yaml\nnot: this\n```\n```yaml a.yaml\na: 1\nb: 2\n```\ntext\n```yaml b.yaml\n```\n";
  assert.deepEqual(filesOf(page), [
    { name: "a.yaml", text: "a: 1\nb: 2\n" },
    { name: "b.yaml", text: "" },
  ]);
});

test("dots stand for anything, columns for any width, and everything else for itself", () => {
  assert.ok(isAsPromised("NAME      RPS\nusers     1.5\n", ["NAME  RPS", "users  ..."]));
  assert.ok(isAsPromised("a\nb\nc\n", ["...", "c"]));
  assert.ok(isAsPromised("c", ["...", "c"]));
  assert.ok(!isAsPromised("a\nb\n", ["a"]));
  assert.ok(!isAsPromised("a+b\n", ["aab"]));
});

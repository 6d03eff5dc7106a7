import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { statePaths } from "@weft/api/light";
import { isAlive } from "./controller.ts";
import { repository } from "./paths.ts";

interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

const program = join(repository, "bin/weft");

function execute(file: string, args: string[], env: Record<string, string> = {}): Promise<Ended> {
  return new Promise((resolve, reject) => {
    execFile(file, args, { env: { ...process.env, NO_COLOR: "1", ...env }, timeout: 60_000, encoding: "utf8" }, (error, stdout, stderr) => {
      if (error !== null && typeof error.code !== "number") reject(error);
      else resolve({ code: Number(error?.code ?? 0), stdout, stderr });
    });
  });
}

/** A state directory for one test. Its controller, if any, ends with the test. */
function temporaryState(context: TestContext): { state: string; weft: (...args: string[]) => Promise<Ended> } {
  const directory = mkdtempSync(join(tmpdir(), "weft-cli-"));
  const state = join(directory, "state");
  const weft = (...args: string[]) => execute(program, args, { WEFT_STATE: state });
  context.after(async () => {
    await weft("down");
    rmSync(directory, { recursive: true, force: true });
  });
  return { state, weft };
}

test("help of a command that is none suggests one, on standard error only", async () => {
  const { code, stdout, stderr } = await execute(program, ["help", "tpo"]);
  assert.deepEqual([code, stdout], [2, ""]);
  assert.match(stderr, /^weft: Unknown command "tpo"\. Did you mean top\?/);
});

test("help shows examples first, on standard output", async () => {
  for (const args of [[], ["--help"], ["run", "--help"], ["help", "stat"]]) {
    const { code, stdout, stderr } = await execute(program, args);
    assert.equal(code, 0);
    assert.match(stdout, /^Examples:\n {2}weft .*Usage: weft/s);
    assert.equal(stderr, "");
  }
});

test("a mistyped command, flag or value is answered with what was meant, and exit code 2", async () => {
  const cases: [string[], RegExp][] = [
    [["stauts"], /^weft: Unknown command 'stauts'\. Did you mean status\? .*\(WEFT-L-USAGE\)\n$/],
    [
      ["stat", "--windw", "5s"],
      /^weft: Unknown option '--windw'\. Did you mean --window\? `weft help stat` shows examples\. \(WEFT-L-USAGE\)\n$/,
    ],
    [["stat", "-o", "jsn"], /argument 'jsn' is invalid\. Allowed choices are table, json, yaml\./],
    [["up", "--page-port", "99999"], /"99999" is no page port\. Ports go from 1 to 65535\./],
    [["completion", "bsh"], /"bsh" is no shell that weft knows\. Did you mean bash\?/],
  ];
  for (const [args, expected] of cases) {
    const { code, stdout, stderr } = await execute(program, args);
    assert.equal(code, 2, args.join(" "));
    assert.match(stderr, expected);
    assert.equal(stdout, "");
  }
});

test("run says what is missing or wrong, with an example", async () => {
  const cases: [string[], RegExp][] = [
    [["run"], /needs a name for the service\. For example: weft run users --port 8080 -- node users\.js/],
    [["run", "web"], /needs the program to start, after `--`\. For example: weft run web /],
    [["run", "web", "node", "x.js", "--prod"], /comes after `--`\. For example: weft run web -- node x\.js --prod\./],
    [["run", "My_App", "--", "true"], /"My_App" is no name for a service: it has upper-case letters\. Did you mean "my-app"\?/],
    [["run", "web", "--port", "0", "--", "true"], /"0" is no port/],
  ];
  for (const [args, expected] of cases) {
    const { code, stderr } = await execute(program, args);
    assert.equal(code, 2, args.join(" "));
    assert.match(stderr, expected);
  }
});

test("what a terminal would obey is shown instead", async () => {
  const { stderr } = await execute(program, ["run", "\x1b[2J\x9b", "--", "true"]);
  assert.doesNotMatch(stderr.replaceAll("\n", ""), /\p{Cc}/u);
});

test("the program is found through symbolic links", async (context) => {
  const directory = mkdtempSync(join(tmpdir(), "weft-link-"));
  context.after(() => rmSync(directory, { recursive: true }));
  symlinkSync(program, join(directory, "first"));
  symlinkSync("first", join(directory, "weft"));
  assert.match((await execute(join(directory, "weft"), ["--version"])).stdout, /^\d+\.\d+\.\d+\n$/);
});

test("a copy without its packages says what to do", async (context) => {
  const directory = mkdtempSync(join(tmpdir(), "weft-bare-"));
  context.after(() => rmSync(directory, { recursive: true }));
  const { code, stderr } = await execute("sh", [
    "-c",
    `mkdir '${directory}/bin' && cp '${program}' '${directory}/bin/weft' && '${directory}/bin/weft' status`,
  ]);
  assert.equal(code, 1);
  assert.match(stderr, /^weft: nothing is installed yet in .*`npm start`.*\(WEFT-L-NOT-INSTALLED\)\n$/);
});

test("completion scripts are understood by their shells and know every command", async (context) => {
  for (const shell of ["bash", "zsh", "fish"]) {
    const { stdout } = await execute(program, ["completion", shell]);
    for (const command of ["up", "down", "status", "run", "demo", "stat", "tap", "top", "why", "edges", "check", "logs", "version"]) {
      assert.match(stdout, new RegExp(`\\b${command}\\b`));
    }
    const parsed = await execute(shell, ["-n", "-c", stdout]).catch(() => undefined);
    if (parsed === undefined) context.diagnostic(`${shell} is not installed: its script was not parsed`);
    else assert.deepEqual(parsed, { code: 0, stdout: "", stderr: "" });
  }
});

test("bash completes commands, flags and values", async () => {
  const complete = async (...words: string[]) => {
    const script = `eval "$('${program}' completion bash)"; COMP_WORDS=(weft ${words.map((word) => `'${word}'`).join(" ")}); COMP_CWORD=${words.length}; _weft; echo "\${COMPREPLY[@]}"`;
    return (await execute("bash", ["-c", script])).stdout.trim();
  };
  assert.equal(await complete("st"), "status stat");
  assert.equal(await complete("stat", "--w"), "--window --watch");
  assert.equal(await complete("stat", "--by", ""), "service workload route edge");
  assert.equal(await complete("stat", "-o", ""), "table json yaml");
  assert.equal(await complete("get", "-o", ""), "table wide name json yaml");
  assert.equal(await complete("get", "--a"), "--all-namespaces");
});

test("without a controller, down has nothing to do and the others say how to start one", async (context) => {
  const { weft } = temporaryState(context);
  assert.match((await weft("down")).stdout, /^No controller runs on .*: nothing to do\.\n$/);
  assert.deepEqual(JSON.parse((await weft("down", "-o", "json")).stdout), { stopped: false, workloads: [] });
  for (const command of ["status", "stat", "edges"]) {
    const { code, stdout, stderr } = await weft(command);
    assert.deepEqual({ code, stdout }, { code: 1, stdout: "" });
    assert.match(stderr, /^weft: No controller runs on .*`weft up`\. \(WEFT-L-CONTROLLER-NOT-RUNNING\)\n$/);
  }
});

test("a state directory that cannot be one is refused with the reason", async (context) => {
  const { state, weft } = temporaryState(context);
  writeFileSync(state, "");
  const file = await weft("up");
  assert.equal(file.code, 1);
  assert.match(file.stderr, / is no directory\. .*\(WEFT-C-STATE-NOT-DIRECTORY\)\n$/s);
  rmSync(state);
  const unwritable = await weft("up", "--state", "/proc/weft");
  assert.equal(unwritable.code, 1);
  assert.match(unwritable.stderr, /\/proc\/weft cannot be written: .*\(WEFT-C-STATE-UNWRITABLE\)\n$/s);
  const long = await weft("up", "--state", `/tmp/${"x".repeat(100)}`);
  assert.equal(long.code, 1);
  assert.match(long.stderr, /too long .*\(WEFT-C-STATE-PATH-TOO-LONG\)\n$/s);
});

test("another user's state directory is refused as it is found, and so is one in which a link leads elsewhere", async (context) => {
  const { state, weft } = temporaryState(context);
  const elsewhere = `${state}-elsewhere`;
  for (const folder of [state, elsewhere]) mkdirSync(folder, { recursive: true });
  chmodSync(elsewhere, 0o755);
  symlinkSync(elsewhere, join(state, "logs"));
  const linked = await weft("up");
  assert.equal(linked.code, 1);
  assert.match(linked.stderr, /logs, .* symbolic link.* \(WEFT-C-STATE-UNSAFE\)\n$/s);
  assert.deepEqual([statSync(elsewhere).mode & 0o777, readdirSync(elsewhere)], [0o755, []]);
  rmSync(join(state, "logs"));
  if (process.getuid?.() !== 0) return;
  chmodSync(state, 0o755);
  chownSync(state, 12_345, 12_345);
  for (const command of [["up"], ["run", "users", "--", "true"]]) {
    const { code, stderr } = await weft(...command);
    assert.notEqual(code, 0);
    assert.match(stderr, /belongs to user 12345.*\(WEFT-C-STATE-NOT-OURS\)/s);
  }
  assert.deepEqual([statSync(state).mode & 0o777, readdirSync(state)], [0o755, []]);
});

test("up starts one controller, however often and however many at once, and down ends it", async (context) => {
  const { state, weft } = temporaryState(context);
  const [first, second] = await Promise.all([weft("up", "-o", "json"), weft("up", "-o", "json")]);
  assert.deepEqual([first?.code, second?.code], [0, 0], `${first?.stderr}${second?.stderr}`);
  const pids = [first, second, await weft("up", "-o", "json")].map((each) => (JSON.parse(each?.stdout ?? "") as { pid: number }).pid);
  assert.equal(new Set(pids).size, 1);
  assert.equal(statSync(state).mode & 0o777, 0o700);
  assert.match((await weft("status")).stdout, new RegExp(`^controller .* process ${pids[0]}, `));
  assert.match((await weft("down")).stdout, /^Ended the controller/);
  assert.equal(isAlive(pids[0] as number), false);
  assert.equal((await weft("status")).code, 1);
});

test("up works over a socket and a lock that a killed controller left", async (context) => {
  const { state, weft } = temporaryState(context);
  const { pid } = JSON.parse((await weft("up", "-o", "json")).stdout) as { pid: number };
  process.kill(pid, "SIGKILL");
  assert.ok(statSync(statePaths(state).apiSocket).isSocket());
  const again = await weft("up", "-o", "json");
  assert.equal(again.code, 0, again.stderr);
  assert.notEqual((JSON.parse(again.stdout) as { pid: number }).pid, pid);
});

test("a page port that is in use is refused by name", async (context) => {
  const { weft } = temporaryState(context);
  const server = createServer().listen(0, "127.0.0.1");
  context.after(() => server.close());
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const { code, stderr } = await weft("up", "--page-port", String(port));
  assert.equal(code, 1);
  assert.match(stderr, new RegExp(`${port}.*WEFT-C-PAGE-PORT-IN-USE`, "s"));
});

test("an unknown service is answered with the nearest known one", async (context) => {
  const { weft } = temporaryState(context);
  await weft("up");
  const { code, stderr } = await weft("stat", "users");
  assert.equal(code, 1);
  assert.match(stderr, /^weft: No service is called "users"\. .*\(WEFT-L-SERVICE-UNKNOWN\)\n$/);
});

test("logs shows what the controller wrote, and knows no other name", async (context) => {
  const { weft } = temporaryState(context);
  await weft("up");
  assert.ok((await weft("logs")).stdout.length > 0);
  assert.match((await weft("logs", "controler")).stderr, /Did you mean "controller"\?/);
});

test("a reader that has read enough ends weft without an error", async (context) => {
  const { state } = temporaryState(context);
  const child = spawn("sh", ["-c", `'${program}' completion fish | head -n 1`], { env: { ...process.env, WEFT_STATE: state } });
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  await new Promise((resolve) => child.on("close", resolve));
  assert.equal(stderr, "");
});

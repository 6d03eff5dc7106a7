import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";

const main = fileURLToPath(new URL("../main.ts", import.meta.url));

/** A controller in a process of its own. */
export interface ControllerProcess {
  child: ChildProcess;
  /** Resolves with the line that says it is ready; rejects with what it wrote on stderr when it ends before. */
  ready: Promise<{ ready: boolean; pageUrl: string }>;
  /** Resolves with its exit code, or the signal that ended it. */
  ended: Promise<number | string>;
}

/** Starts a controller in a process of its own; it is killed with the test. `shell` is run before it in the same process. */
export function spawnController(t: TestContext, args: string[], shell = ""): ControllerProcess {
  const command = `${shell}\nexec "$0" "$@"`;
  const child = spawn("/bin/sh", ["-c", command, process.execPath, main, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  t.after(() => child.kill("SIGKILL"));
  let [out, err] = ["", ""];
  child.stderr?.on("data", (chunk) => {
    err += chunk;
  });
  const ended = once(child, "close").then(([code, signal]) => (code ?? signal) as number | string);
  const ready = new Promise<{ ready: boolean; pageUrl: string }>((resolve, reject) => {
    child.stdout?.on("data", (chunk) => {
      out += chunk;
      if (out.includes("\n")) resolve(JSON.parse(out));
    });
    void ended.then((code) => reject(new Error(`the controller ended with ${code}: ${err}`)));
  });
  ready.catch(() => {});
  return { child, ready, ended };
}

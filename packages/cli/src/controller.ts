import { spawn } from "node:child_process";
import { closeSync, constants, openSync, readFileSync } from "node:fs";
import { open, stat } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { ApiClient, checkOwner, prepareStateDirectory, type Status, statePaths, WeftError, weftError } from "@weft/api/light";
import { cliError } from "./errors.ts";
import { compileCache, controllerProgram } from "./paths.ts";
import { progress } from "./terminal.ts";

const startTimeoutMs = 20_000;
const pollMs = 20;

/** How a controller is started. */
export interface StartOptions {
  pagePort?: number;
  /** A process with whose end, however it comes, the controller ends too and removes its state directory. */
  owner?: number;
}

/** What `ensureController` found or made. */
export interface Running {
  status: Status;
  /** Whether it was started just now. */
  started: boolean;
}

/** The controller on `stateDir`, started if none answers. Safe when several do this at once: the lock lets one controller win, and all use it. */
export async function ensureController(stateDir: string, options: StartOptions = {}): Promise<Running> {
  // Whoever answers in another user's directory is that user's, and would be told everything.
  checkOwner(stateDir);
  const status = await answering(stateDir);
  return status === undefined ? { status: await start(stateDir, options), started: true } : { status, started: false };
}

/** Status of the controller on `stateDir`, undefined when none runs. */
export async function answering(stateDir: string): Promise<Status | undefined> {
  try {
    return await new ApiClient(stateDir, { timeoutMs: 5000 }).status();
  } catch (error) {
    if (isNotRunning(error)) return undefined;
    throw error;
  }
}

/** Whether an error says that no controller runs. */
export function isNotRunning(error: unknown): boolean {
  return error instanceof WeftError && error.code === "WEFT-L-CONTROLLER-NOT-RUNNING";
}

/** Asks the controller to end and waits until it is gone, at most `timeoutMs`. */
export async function stopController(stateDir: string, pid: number, timeoutMs = 15_000): Promise<void> {
  const done = progress("Waiting for the controller to end");
  try {
    await new ApiClient(stateDir).shutdown();
    const deadline = Date.now() + timeoutMs;
    while (isAlive(pid) || (await answering(stateDir).catch(() => true)) !== undefined) {
      if (Date.now() > deadline) {
        throw cliError(
          "WEFT-L-CONTROLLER-STOP-FAILED",
          `The controller on ${stateDir} still runs after ${timeoutMs / 1000} s.`,
          `End it by \`kill ${pid}\`.`,
        );
      }
      await delay(pollMs);
    }
  } finally {
    done();
  }
}

async function start(stateDir: string, options: StartOptions): Promise<Status> {
  const paths = statePaths(stateDir);
  prepareStateDirectory(paths);
  const log = paths.controllerLog;
  const output = openLog(log);
  const written = await size(log);
  const args = [controllerProgram, "--state", stateDir];
  if (options.pagePort !== undefined) args.push("--page-port", String(options.pagePort));
  if (options.owner !== undefined) args.push("--owner", String(options.owner));
  const child = spawn(process.execPath, args, {
    detached: true,
    stdio: ["ignore", "ignore", output],
    cwd: "/",
    env: { ...process.env, NODE_COMPILE_CACHE: compileCache },
  });
  closeSync(output);
  let ended: string | undefined;
  child.once("error", (error) => {
    ended = error.message;
  });
  child.once("exit", (code, signal) => {
    ended = signal === null ? `it ended with exit code ${code}` : `it was ended by ${signal}`;
  });
  child.unref();

  const done = progress("Starting the controller");
  try {
    const deadline = Date.now() + startTimeoutMs;
    for (;;) {
      const why = ended ?? (Date.now() > deadline ? `it did not answer within ${startTimeoutMs / 1000} s` : undefined);
      const status = await answering(stateDir).catch(() => undefined);
      if (status !== undefined) return status;
      if (why !== undefined) {
        const said = await lastLines(log, written);
        // Another one won the race: it answers in a moment.
        if (!said.includes("WEFT-C-ALREADY-RUNNING") || Date.now() > deadline) throw startFailure(stateDir, why, said);
      }
      await delay(pollMs);
    }
  } finally {
    done();
  }
}

/** The controller's own error if it said one, else what is known. */
export function startFailure(stateDir: string, why: string, said: string): WeftError {
  const own = /^weft controller: (?<message>.*) \((?<code>WEFT-C-[A-Z-]+)\)$/m.exec(said)?.groups;
  if (own !== undefined) return new WeftError(own.code ?? "", own.message ?? "");
  const words = said === "" ? "" : ` It said:\n${said}\n`;
  return cliError(
    "WEFT-L-CONTROLLER-START-FAILED",
    `The controller on ${stateDir} did not start: ${why}.${words}`,
    `See ${statePaths(stateDir).controllerLog}.`,
  );
}

function openLog(path: string): number {
  try {
    return openSync(path, constants.O_APPEND | constants.O_CREAT | constants.O_WRONLY | constants.O_NOFOLLOW, 0o600);
  } catch (cause) {
    throw weftError("WEFT-C-STATE-UNWRITABLE", `${path} cannot be written: ${(cause as Error).message}.`, { cause });
  }
}

async function size(file: string): Promise<number> {
  return (await stat(file)).size;
}

async function lastLines(file: string, from: number): Promise<string> {
  const handle = await open(file, "r");
  try {
    const end = await size(file);
    const begin = Math.max(from, end - 4096);
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(end - begin), 0, end - begin, begin);
    return buffer.toString("utf8", 0, bytesRead).trimEnd().split("\n").slice(-10).join("\n");
  } finally {
    await handle.close();
  }
}

/** Whether a process runs. One that has ended and that nobody collected does not. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !isZombie(pid);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

// In a container whose first process collects nobody, an ended process keeps its number.
function isZombie(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)?.startsWith("Z") ?? false;
  } catch {
    return false;
  }
}

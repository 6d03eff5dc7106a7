import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { compileCache, repository } from "../paths.ts";
import type { Member } from "./shop.ts";

// What a program says when it fails at once fits here.
const keptLines = 12;

/** A program that runs under `weft run`. */
export class Runner {
  readonly member: Member;
  /** The last lines that it and its launcher wrote, at most 12. */
  readonly lines: string[] = [];
  #process: ChildProcess;
  #gone: Promise<unknown>;
  #ended: string | undefined;

  /** Starts `member` on `port`; `published` is a port of its service that is opened on this machine's loopback too. */
  constructor(member: Member, port: number, options: { state: string; redirect: string; published?: number }) {
    this.member = member;
    const { published } = options;
    const ports = member.called ? ["--port", `80:${port}`] : [];
    const publish = published === undefined ? ["--no-publish"] : ["--port", `${published}:${port}`];
    const args = [
      "run",
      member.service,
      "--state",
      options.state,
      "--redirect",
      options.redirect,
      "--end-with-parent",
      ...ports,
      ...publish,
    ];
    this.#process = spawn(join(repository, "bin/weft"), [...args, "--", process.execPath, member.source], {
      // Apart from the command line's own cache, which is not for the programs that it starts.
      env: { ...process.env, ...member.env, PORT: String(port), NODE_COMPILE_CACHE: join(compileCache, "demo") },
      // A session of its own: Ctrl-C reaches the demo alone, which ends everything in order.
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      if (stream !== null) createInterface(stream).on("line", (line) => this.#keep(line));
    }
    this.#process.once("exit", (code, signal) => {
      this.#ended = signal === null ? `exit code ${code}` : signal;
    });
    this.#process.once("error", (error) => {
      this.#ended = error.message;
    });
    this.#gone = once(this.#process, "exit").catch(() => undefined);
  }

  /** Why it is gone; undefined while it runs. */
  get ended(): string | undefined {
    return this.#ended;
  }

  /** Ends the program, its launcher and its sidecar within `graceMs`: in order, then in a hurry (half of it gone), then by force. */
  async stop(graceMs: number): Promise<void> {
    const { pid } = this.#process;
    if (pid === undefined) return;
    if (this.#ended === undefined) {
      signal(pid, "SIGTERM");
      const hurry = setTimeout(() => signal(pid, "SIGTERM"), graceMs / 2);
      const force = setTimeout(() => signal(-pid, "SIGKILL"), graceMs);
      await this.#gone;
      clearTimeout(hurry);
      clearTimeout(force);
    }
    signal(-pid, "SIGKILL");
  }

  #keep(line: string): void {
    this.lines.push(line);
    if (this.lines.length > keptLines) this.lines.shift();
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It is gone already.
  }
}

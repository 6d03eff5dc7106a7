import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";

// Enough for every message; a program that floods is cut, not the memory.
const maxOutput = 4 * 1024 * 1024;

/** How a program ended. */
export interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

/** A program that was started. */
export class Running {
  readonly child: ChildProcess;
  /** Resolves when the program has ended and all its output was read. */
  readonly ended: Promise<Ended>;
  readonly #command: string;
  #stdout = "";
  #stderr = "";
  #isOver = false;

  constructor(program: string, args: readonly string[], options: SpawnOptions = {}) {
    this.#command = [program, ...args].join(" ");
    this.child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], ...options });
    this.child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      if (this.#stdout.length < maxOutput) this.#stdout += text;
    });
    this.child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      if (this.#stderr.length < maxOutput) this.#stderr += text;
    });
    this.ended = new Promise((resolve, reject) => {
      this.child.once("error", (error) => reject(new Error(`${this.#command}: ${error.message}`)));
      this.child.once("close", (code, signal) => {
        this.#isOver = true;
        resolve({ code, signal, stdout: this.#stdout, stderr: this.#stderr });
      });
    });
    // Whoever waits gets the error; nobody waiting is no reason to end the test run.
    this.ended.catch(() => {
      this.#isOver = true;
    });
  }

  /** What it wrote so far. */
  get stdout(): string {
    return this.#stdout;
  }

  /** What it wrote so far. */
  get stderr(): string {
    return this.#stderr;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  get pid(): number {
    if (this.child.pid === undefined) throw new Error(`${this.#command} did not start`);
    return this.child.pid;
  }

  /** Asks it to end, and after `graceMs` (12 s unless told: longer than a sidecar drains) makes it. */
  async stop(signal: NodeJS.Signals = "SIGTERM", graceMs = 12_000): Promise<Ended> {
    if (!this.#isOver) this.child.kill(signal);
    const timer = setTimeout(() => this.child.kill("SIGKILL"), graceMs);
    try {
      return await this.ended;
    } finally {
      clearTimeout(timer);
    }
  }

  /** For messages: what it was and what it said. */
  describe(): string {
    return `${this.#command}\n${this.#stdout}${this.#stderr}`;
  }
}

/** Runs a program to its end; after `timeoutMs` (60 s unless told) it is killed. */
export async function execute(
  program: string,
  args: readonly string[],
  options: SpawnOptions & { timeoutMs?: number } = {},
): Promise<Ended> {
  const { timeoutMs = 60_000, ...rest } = options;
  const running = new Running(program, args, rest);
  const timer = setTimeout(() => running.child.kill("SIGKILL"), timeoutMs);
  try {
    return await running.ended;
  } finally {
    clearTimeout(timer);
  }
}

/** Runs a program that must succeed, and answers its standard output. */
export async function succeed(
  program: string,
  args: readonly string[],
  options: SpawnOptions & { timeoutMs?: number } = {},
): Promise<string> {
  const { code, signal, stdout, stderr } = await execute(program, args, options);
  if (code === 0) return stdout;
  throw new Error(`${[program, ...args].join(" ")} ended with ${signal ?? code}:\n${stdout}${stderr}`);
}

import type { SpawnOptions } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { ApiClient, type StatRow, statePaths, type Workload } from "@weft/api";
import { familyOf, type Holdings, holdingsOf, leftOf, processesWith } from "./leaks.ts";
import { freePort } from "./ports.ts";
import { type Ended, execute, Running, succeed } from "./process.ts";
import { root } from "./programs.ts";
import { temporaryFolder, type User } from "./user.ts";
import { until } from "./wait.ts";

/** How a program is put behind a sidecar. */
export interface RunOptions {
  /** Arguments of `weft run` between the name and the program, for example `["--port", "8080"]`. */
  options?: string[];
  /** Added to the program's environment. */
  env?: Record<string, string>;
  /** Waited for before `run` resolves: the service offers this many endpoints (1 unless told; 0 does not wait). */
  endpoints?: number;
  /** The hard limit of open files, of the program and of its sidecar. */
  openFiles?: number;
  cwd?: string;
  stdio?: SpawnOptions["stdio"];
}

/** A program behind a sidecar. */
export interface Member {
  name: string;
  /** The launcher's process. */
  running: Running;
  /** What the controller says of it now. */
  workload(): Promise<Workload>;
  /** Process of its sidecar. */
  sidecar(): Promise<number>;
  /** Host and port of its sidecar's metrics. */
  admin(): Promise<string>;
}

/** A mesh of its own, in a temporary state directory. `await using` ends it and checks that it leaves nothing behind. */
export class Mesh implements AsyncDisposable {
  readonly state: string;
  readonly api: ApiClient;
  readonly #user: User | undefined;
  readonly #folder: string;
  readonly #members: Member[] = [];
  #pagePort = 0;

  private constructor(user: User | undefined) {
    this.#user = user;
    this.#folder = temporaryFolder(user);
    this.state = join(this.#folder, "state");
    this.api = new ApiClient(this.state);
  }

  /** Starts a controller; as `user` when one is given. */
  static async start(user?: User): Promise<Mesh> {
    const mesh = new Mesh(user);
    mesh.#pagePort = await freePort();
    await mesh.up();
    return mesh;
  }

  /** A command line that runs as the mesh's user. */
  #command(program: string, args: readonly string[]): [string, string[]] {
    const [first = program, ...rest] = [...(this.#user?.prefix ?? []), program, ...args];
    return [first, rest];
  }

  #weftCommand(args: readonly string[]): [string, string[]] {
    return this.#command(join(this.#user?.root ?? root, "bin", "weft"), args);
  }

  get env(): NodeJS.ProcessEnv {
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    return { ...env, WEFT_STATE: this.state, HOME: this.#folder, NO_COLOR: "1", ...(this.#user && { NODE_COMPILE_CACHE: this.#folder }) };
  }

  /** Folder that belongs to the mesh's user and goes away with the mesh. */
  get folder(): string {
    return this.#folder;
  }

  /** Runs `weft ARGS` to its end. */
  weft(args: readonly string[], options: SpawnOptions & { timeoutMs?: number } = {}): Promise<Ended> {
    return execute(...this.#weftCommand(args), { env: this.env, ...options });
  }

  /** Starts the controller. */
  async up(): Promise<void> {
    await succeed(...this.#weftCommand(["up", "--page-port", String(this.#pagePort)]), { env: this.env });
  }

  /** Kills the controller with -9, as a power cut would. */
  async killController(): Promise<void> {
    const { pid } = await this.api.status();
    process.kill(pid, "SIGKILL");
    await until("the controller is gone", () => holdingsOf([pid]).ports.length === 0 && !isAlive(pid));
  }

  /** Starts `command` as an instance of the service `name`, and waits until it can be called. */
  async run(
    name: string,
    command: readonly string[],
    { options = [], env, endpoints = 1, openFiles, ...spawn }: RunOptions = {},
  ): Promise<Member> {
    const [weft, args] = this.#weftCommand(["run", name, ...options, "--", ...command]);
    const limited: [string, string[]] = ["sh", ["-c", 'ulimit -n "$0" && exec "$@"', String(openFiles), weft, ...args]];
    const running = new Running(...(openFiles === undefined ? ([weft, args] as const) : limited), {
      env: { ...this.env, ...env },
      ...spawn,
    });
    const member = this.#member(name, running);
    this.#members.push(member);
    if (endpoints > 0) await this.#waitForEndpoints(member, endpoints);
    return member;
  }

  /** Runs `command` to its end as the service `name`; it calls others and is called by nobody. */
  async call(name: string, command: readonly string[], options: { timeoutMs?: number; env?: Record<string, string> } = {}): Promise<Ended> {
    const { env, ...rest } = options;
    return execute(...this.#weftCommand(["run", name, "--", ...command]), { env: { ...this.env, ...env }, ...rest });
  }

  #member(name: string, running: Running): Member {
    const workload = async () => {
      const family = familyOf(running.pid);
      const found = (await this.api.workloads()).find(({ pid }) => family.includes(pid));
      if (!found) throw new Error(`the controller knows no workload for process ${running.pid} (${name})`);
      return found;
    };
    return {
      name,
      running,
      workload,
      admin: async () => (await workload()).sidecar?.admin ?? "",
      sidecar: async () => {
        const { id } = await workload();
        return until(`the sidecar of ${name} (${id})`, () => familyOf(running.pid).find(isSidecar));
      },
    };
  }

  async #waitForEndpoints(member: Member, wanted: number): Promise<void> {
    const ready = async () => {
      if (member.running.isOver) return true;
      const service = (await this.api.services()).find(({ name }) => name === member.name);
      return service !== undefined && service.endpoints.length >= wanted;
    };
    await until(`${wanted} endpoint(s) of ${member.name}`, ready, { timeoutMs: 20_000, diagnose: () => this.diagnose(member) });
    if (member.running.isOver) throw new Error(`it ended at once: ${await this.diagnose(member)}`);
  }

  /** For messages: what a member, its sidecar and the controller said. */
  async diagnose(member: Member): Promise<string> {
    const paths = statePaths(this.state);
    const tail = (file: string) => {
      try {
        return readFileSync(file, "utf8").split("\n").slice(-25).join("\n");
      } catch {
        return "(no log)";
      }
    };
    const workload = await member.workload().catch((error: Error) => error.message);
    const log = typeof workload === "string" ? "" : `\n--- sidecar\n${tail(paths.workloadLog(workload.id))}`;
    return `--- ${member.running.describe()}${log}\n--- controller\n${tail(paths.controllerLog)}\n--- workload\n${JSON.stringify(workload, null, 1)}`;
  }

  /** What the sidecars of a service counted in one direction, since the controller's start, once `isComplete`. */
  async row(service: string, direction: StatRow["direction"], isComplete: (row: StatRow) => boolean): Promise<StatRow> {
    let last: StatRow | undefined;
    return until(
      `the ${direction} numbers of ${service}`,
      async () => {
        last = (await this.stat()).find((row) => row.service === service && row.direction === direction);
        return last !== undefined && isComplete(last) && last;
      },
      { diagnose: () => `last: ${JSON.stringify(last?.totals)}` },
    );
  }

  /** The rows of `weft stat -o json`. */
  async stat(window = 60): Promise<StatRow[]> {
    const { code, stdout, stderr } = await this.weft(["stat", "-o", "json", "--window", `${window}s`]);
    if (code !== 0) throw new Error(`weft stat: ${stderr}`);
    return JSON.parse(stdout).rows;
  }

  /** Everything that the mesh holds of the machine now. */
  holdings(): Holdings {
    return holdingsOf(this.#processes(), this.#user?.network);
  }

  #processes(): number[] {
    return [...new Set(processesWith(this.state).flatMap(familyOf))];
  }

  /** Ends all members, then the controller, and removes the state. */
  async stop(): Promise<void> {
    await Promise.all(this.#members.map(({ running }) => running.stop()));
    await this.weft(["down"]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const holdings = this.holdings();
    try {
      await this.stop();
      await until("nothing of the mesh is left", () => [...leftOf(holdings), ...this.#processes()].length === 0, {
        diagnose: () => [...leftOf(holdings), ...this.#processes()].join("\n"),
      });
    } finally {
      for (const pid of this.#processes()) kill(pid);
      rmSync(this.#folder, { recursive: true, force: true, maxRetries: 5 });
    }
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It ended by itself.
  }
}

function isAlive(pid: number): boolean {
  try {
    return !readFileSync(`/proc/${pid}/stat`, "utf8").includes(") Z");
  } catch {
    return false;
  }
}

function isSidecar(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/comm`, "utf8").trim() === "weft-proxy";
  } catch {
    return false;
  }
}

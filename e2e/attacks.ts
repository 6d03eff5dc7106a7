import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort, type Member, type Mesh, memoryOf, metricsOf, Running, until } from "@weft/testkit";
import { failures, type Protocol, p99, type Sent, sentBy } from "./faults.ts";
import { fixture } from "./fixtures.ts";

const rate = 50;
const megabyte = 1024 * 1024;
/** Requests of the polite clients before an attack begins, by which those beside it are judged. */
const calm = 3 * rate;
/** Seconds that the clients go on for at most. */
const seconds = 150;

/** By how much more than at its start a sidecar may hold after an attack. */
const usual = { anonymous: 3 * megabyte, descriptors: 16 };

/** What a sidecar holds of the machine. */
export interface Held {
  /** Resident memory, bytes. */
  resident: number;
  /** What of it is the process's own, and not a part of its program that was used for the first time. */
  anonymous: number;
  descriptors: number;
}

/** What became of an attack. */
export interface Endured {
  /** Requests of polite clients before the attack: from a workload of their own, and from the attacker's. */
  before: Sent[];
  /** The same while it went on. */
  beside: Sent[];
  /** The same kind of requests at the same time, but not through the mesh: what the machine itself makes of them while it is busy with the attack. */
  outside: Sent[];
  /** By sidecar. */
  start: Record<Side, Held>;
  /** The most that was seen, by sidecar. */
  most: Record<Side, Held>;
  /** What the attack said. */
  said: string;
}

/** Whose sidecar: the service's, or the attacker's. */
export type Side = "called" | "attacker";
const sides: Side[] = ["called", "attacker"];

function heldBy(pid: number): Held {
  return { ...memoryOf(pid), descriptors: readdirSync(`/proc/${pid}/fd`).length };
}

/** A service that is attacked while polite clients use it 50 times a second: one in a workload of its own, and one in the attacker's, which shares its sidecar. */
export class Siege {
  readonly #mesh: Mesh;
  readonly #called: Member;
  #pids: Record<Side, number> = { called: 0, attacker: 0 };
  readonly #clients: Member[];
  readonly #outside: Running[];
  readonly #go: string;
  #start: Record<Side, Held> | undefined;

  private constructor(mesh: Mesh, called: Member, clients: Member[], outside: Running[], go: string) {
    this.#mesh = mesh;
    this.#called = called;
    this.#clients = clients;
    this.#outside = outside;
    this.#go = go;
  }

  /** Starts the clients of `url`, which leads to `called`, and what will attack, and waits until they have calmly asked for some seconds. */
  static async start(
    mesh: Mesh,
    called: Member,
    protocol: Protocol,
    url: string,
    attack: readonly string[],
    name = "attacker",
    openFiles?: number,
  ): Promise<Siege> {
    const go = join(mesh.folder, `${name}.go`);
    const polite = await mesh.run(`polite-${name}`, fixture("steady", protocol, url, rate, seconds, 2), { endpoints: 0 });
    const attacker = await mesh.run(name, fixture("beside", go, protocol, url, seconds, "--", ...attack), {
      endpoints: 0,
      ...(openFiles !== undefined && { openFiles }),
    });
    const port = await freePort();
    const replica = new Running(...commandOf(fixture("replica", port, "outside", 0)));
    const direct = `http://127.0.0.1:${port}/`;
    const outside = new Running(...commandOf(fixture("steady", protocol === "tcp" ? "http1" : protocol, direct, rate, seconds)));
    const siege = new Siege(mesh, called, [polite, attacker], [outside, replica], go);
    try {
      await until("the clients are calm", () => siege.#clients.every((client) => sentBy(client.running).length >= calm), {
        timeoutMs: 30_000,
        diagnose: async () => (await Promise.all(siege.#clients.map((client) => mesh.diagnose(client)))).join("\n"),
      });
      siege.#pids = { called: await called.sidecar(), attacker: await attacker.sidecar() };
    } catch (error) {
      await siege[Symbol.asyncDispose]();
      throw error;
    }
    return siege;
  }

  /** Lets the attack go, to its end, and looks at the sidecars meanwhile. */
  async attack(timeoutMs = 60_000): Promise<Endured> {
    const [, attacker] = this.#clients as [Member, Member];
    const held = () => ({ called: heldBy(this.#pids.called), attacker: heldBy(this.#pids.attacker) });
    const start = held();
    const most = structuredClone(start);
    this.#start = start;
    const began = Date.now();
    writeFileSync(this.#go, "");
    await until(
      "the attack is over",
      () => {
        const now = held();
        for (const side of sides)
          for (const kind of ["resident", "descriptors"] as const) most[side][kind] = Math.max(most[side][kind], now[side][kind]);
        return attacker.running.stdout.includes("attack over");
      },
      { timeoutMs, diagnose: () => this.#mesh.diagnose(attacker) },
    );
    const ended = Date.now();
    // Those that were under way at the end are part of it.
    await until(
      "a request that began after the attack is over",
      () => this.#clients.every(({ running }) => sentBy(running).some(({ at }) => at > ended)),
      {
        timeoutMs: 40_000,
        diagnose: () => this.#mesh.diagnose(attacker),
      },
    );
    const ofClients = this.#clients.flatMap(({ running }) => sentBy(running));
    const during = ({ at }: Sent) => at >= began && at <= ended;
    return {
      // The first second has connections to open.
      before: this.#clients.flatMap(({ running }) => sentBy(running).slice(rate)).filter(({ at }) => at < began),
      beside: ofClients.filter(during),
      outside: this.#outside.flatMap(sentBy).filter(during),
      start,
      most,
      said: attacker.running.stderr,
    };
  }

  /** Waits until both sidecars hold no more than when the attack began: 3 MB and some descriptors more at most, unless told. It takes less than 30 s, where nothing else keeps the machine busy. */
  async recovered(spare = usual, timeoutMs = 90_000): Promise<Record<Side, Held>> {
    let last: Record<Side, Held> | undefined;
    return until(
      "the sidecars have given back what the attack took",
      () => {
        last = { called: heldBy(this.#pids.called), attacker: heldBy(this.#pids.attacker) };
        const isBack = (side: Side) => {
          const [now, then] = [last?.[side], this.#start?.[side]];
          return (
            now && then && now.anonymous <= then.anonymous + spare.anonymous && now.descriptors <= then.descriptors + spare.descriptors
          );
        };
        return sides.every(isBack) && last;
      },
      {
        timeoutMs,
        diagnose: async () => {
          const members = [this.#called, this.#clients[1] as Member];
          const open = await Promise.all(members.map(async (member) => openAt(await member.admin())));
          return `at the start ${JSON.stringify(this.#start)}, now ${JSON.stringify(last)}; open: ${JSON.stringify(open)}`;
        },
      },
    );
  }

  /** Ends the clients. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#clients.map(({ running }) => running), ...this.#outside].map((running) => running.stop()));
  }
}

/** The polite requests that failed, if any did. */
export function failed({ beside }: Endured): string | undefined {
  const failed = failures(beside);
  return failed.length === 0 ? undefined : `${failed.length} of ${beside.length} polite requests failed: ${failed[0]?.failure}`;
}

/** How the polite requests were held up, if the slowest of 100 took `times` as long as before, or as beside the attack without the mesh, and as 5 ms. */
export function heldUp({ before, beside, outside }: Endured, times: number): string | undefined {
  const [usual, slow] = [Math.max(p99(before), p99(outside), 5), p99(beside)];
  return slow <= times * usual
    ? undefined
    : `the slowest 1 % of polite requests took ${slow.toFixed(1)} ms, and ${usual.toFixed(1)} ms is usual`;
}

/** For diagnostics: what an attack did to the clients and the sidecars. */
export function summary({ before, beside, outside, start, most }: Endured): string {
  const memory = sides.map(
    (side) => `${side} ${mb(start[side].resident)} to ${mb(most[side].resident)} MB, ${most[side].descriptors} descriptors`,
  );
  const times = [before, beside, outside].map((sent) => p99(sent).toFixed(1)).join(", ");
  return `${beside.length} polite requests, ${failures(beside).length} failed; p99 before, beside, outside: ${times} ms; ${memory.join("; ")}`;
}

const mb = (bytes: number) => (bytes / megabyte).toFixed(1);

/** What a sidecar says that is open, by name. */
async function openAt(admin: string): Promise<Record<string, number>> {
  const samples = (await metricsOf(admin)).filter(({ name, value }) => /open$|in_flight|heap_bytes/.test(name) && value > 0);
  return Object.fromEntries(
    samples.map(({ name, labels, value }) => [`${name} ${labels.direction ?? ""} ${labels.peer ?? ""} ${labels.protocol ?? ""}`, value]),
  );
}

function commandOf([program = "", ...args]: string[]): [string, string[]] {
  return [program, args];
}

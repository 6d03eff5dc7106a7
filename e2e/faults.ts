import { type Member, type Mesh, type Running, until } from "@weft/testkit";
import { fixture } from "./fixtures.ts";

export const rate = 300;
export const names = ["first", "second", "third"] as const;
export type Name = (typeof names)[number];
/** What the replicas speak. */
export type Protocol = "http1" | "http2" | "tcp";

/** One request of the load. */
export interface Sent {
  /** When it began, as Date.now() says. */
  at: number;
  /** Milliseconds until it was over. */
  took: number;
  method: string;
  /** The replica that answered. */
  by?: string;
  failure?: string;
}

/** The requests that a program of steady.ts made and that are over. */
export function sentBy(running: Running): Sent[] {
  const lines = running.stdout.split("\n");
  return lines.filter((line) => line.startsWith("{") && line.endsWith("}")).map((line) => JSON.parse(line));
}

/** A service of three replicas under a steady load. */
export class Trial {
  readonly replicas: Record<Name, Member>;
  readonly #load: Member;

  private constructor(replicas: Record<Name, Member>, load: Member) {
    this.replicas = replicas;
    this.#load = load;
  }

  /** Starts three replicas that take `milliseconds` each, and the load, and waits until all three answer. */
  static async start(mesh: Mesh, protocol: Protocol, seconds: number, milliseconds = 4): Promise<Trial> {
    const replicas = {} as Record<Name, Member>;
    for (const [index, name] of names.entries()) replicas[name] = await Trial.replica(mesh, name, index + 1, protocol, milliseconds);
    const load = await mesh.run("load", fixture("steady", protocol, "http://users:8080/", rate, seconds), { endpoints: 0 });
    const trial = new Trial(replicas, load);
    await until(
      "all replicas answer",
      () => {
        const sent = trial.sent();
        return sent.length > rate && names.every((name) => sent.some(({ by }) => by === name));
      },
      { diagnose: () => load.running.describe().slice(0, 4000) },
    );
    return trial;
  }

  static replica(mesh: Mesh, name: string, endpoints: number, protocol = "http1", milliseconds = 4): Promise<Member> {
    const program = protocol === "tcp" ? fixture("who", 8080, name) : fixture("replica", 8080, name, milliseconds);
    return mesh.run("users", program, { options: ["--port", "8080", "--no-publish"], endpoints });
  }

  /** What was sent and is over, so far. */
  sent(): Sent[] {
    return sentBy(this.#load.running);
  }

  /** Waits until the load is over. */
  async all(): Promise<Sent[]> {
    await until("the load is over", () => this.#load.running.stdout.includes("finished"), { timeoutMs: 60_000 });
    return this.sent();
  }
}

/** The process of a member's program, behind launcher and sidecar. */
export async function programOf(member: Member): Promise<number> {
  return until(`the program of ${member.name}`, async () => (await member.workload()).programPid ?? undefined);
}

export const failures = (sent: readonly Sent[]): Sent[] => sent.filter(({ failure }) => failure !== undefined);

/** Was under way at `time`, when a process was told to die: on a busy machine it lives for some milliseconds more. */
export const underWay = ({ at, took }: Sent, time: number): boolean => at <= time + 100 && at + took >= time - 5;

/** The part of what began from one time to another that a replica answered. */
export function share(sent: readonly Sent[], name: Name, from: number, to: number): number {
  const span = sent.filter(({ at }) => at >= from && at < to);
  return span.filter(({ by }) => by === name).length / span.length;
}

/** The part of the last requests, a second's, that a replica answered; 0 until so many have begun since a time. */
export function lately(sent: readonly Sent[], name: Name, since: number): number {
  const last = sent.filter(({ at }) => at >= since).slice(-rate);
  return last.length < rate ? 0 : last.filter(({ by }) => by === name).length / rate;
}

/** The latency within which 99 of 100 requests were over, milliseconds. */
export function p99(sent: readonly Sent[]): number {
  const sorted = sent.map(({ took }) => took).sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length * 0.99)] ?? Number.NaN;
}

/**
 * Whether the machine itself stood still, which no fault of one replica makes it do: most requests that began about then took long, too, or while this one was under
 * way hardly any others came and went.
 */
export function stoodStill(sent: readonly Sent[], { at, took }: Sent): boolean {
  const near = sent.filter((other) => Math.abs(other.at - at) < 250);
  if (near.filter((other) => other.took > 400).length > near.length / 2) return true;
  const passed = sent.filter((other) => other.at > at && other.took < 200 && other.at + other.took < at + took);
  return took > 400 && passed.length < (rate * took) / 1000 / 3;
}

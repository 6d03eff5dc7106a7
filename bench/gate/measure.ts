// Counts what a request costs. Two pairs live side by side for as long: one makes many requests, the other few. What sidecars do once, and what they do each second
// - report, look for listening ports - is in both counts, so that it drops out of the difference, however fast the machine is.
import { rmSync } from "node:fs";
import { Mesh } from "@weft/testkit";
import { counters } from "./counters.ts";
import { type BySide, type Kind, kinds, type Protocol, protocols, type Side, sides } from "./judge.ts";
import { type Pair, startPair } from "./pair.ts";

/** Requests of the pair that makes many. */
const MANY = 3000;

/** Costs of a request, and bytes of an idle sidecar. */
export interface Costs {
  requests: Record<Protocol, Record<Kind, BySide>>;
  idleMemory: number;
}

/** Measures with the binaries of a folder. */
export async function measure(binaries: string): Promise<Costs> {
  const none = () => Object.fromEntries(kinds.map((kind) => [kind, { caller: Number.NaN, called: Number.NaN }])) as Record<Kind, BySide>;
  const requests = { http1: none(), http2: none() };
  const systemCalls = await countWith("strace", binaries, requests);
  await countWith("callgrind", binaries, requests);
  return { requests, idleMemory: systemCalls.idleMemory };
}

/** Runs all pairs below one counter and writes down what it counts. */
async function countWith(name: keyof typeof counters, binaries: string, requests: Costs["requests"]): Promise<{ idleMemory: number }> {
  const mesh = await Mesh.start();
  const uninterrupted = endWhenInterrupted(mesh);
  const counter = counters[name];
  const pairs: { protocol: Protocol; many: Pair; few: Pair }[] = [];
  const started: Pair[] = [];
  const start = async (service: string, protocol: Protocol) => {
    const pair = await startPair({ mesh, binaries, counter }, service, protocol);
    started.push(pair);
    return pair;
  };
  try {
    for (const protocol of protocols) {
      const [many, few] = await Promise.all([start(`${protocol}-many`, protocol), start(`${protocol}-few`, protocol)]);
      pairs.push({ protocol, many, few });
    }
    const memories = started.flatMap((pair) => sides.map((side) => pair.anonymous(side)));
    // All make few requests all the time, so that all have as much to report, and one after the other many.
    for (const pair of started) pair.tell("FEW");
    const asked = new Map<Pair, number>();
    const ask = async (pair: Pair, order: string) => void asked.set(pair, (asked.get(pair) ?? 0) + (await pair.ask(order)));
    for (const { many } of pairs) {
      await ask(many, "STOP");
      await ask(many, `MANY ${MANY}`);
      many.tell("FEW");
    }
    await Promise.all(started.map((pair) => ask(pair, "STOP")));
    // All at the same time: what they do each second is the same for all.
    const counted = await Promise.all(
      pairs.map(async ({ many, few }) => {
        const [more, less] = await Promise.all([many, few].map((pair) => countsOf(pair, counter.read)));
        return { more, less };
      }),
    );
    for (const [index, { protocol, many, few }] of pairs.entries()) {
      const difference = (asked.get(many) ?? 0) - (asked.get(few) ?? 0);
      for (const side of sides) {
        const { more, less } = counted[index] ?? {};
        for (const kind of kinds) {
          const [above, below] = [more?.[side][kind], less?.[side][kind]];
          if (above !== undefined && below !== undefined) requests[protocol][kind][side] = (above - below) / difference;
        }
      }
    }
    return { idleMemory: memories.reduce((total, bytes) => total + bytes, 0) / memories.length };
  } finally {
    await Promise.all(started.map((pair) => pair.stop()));
    await mesh[Symbol.asyncDispose]();
    uninterrupted();
  }
}

/** Ends what was started when this process is told to end: the controller is no child of it, and would live on. Until the answered function is called. */
function endWhenInterrupted(mesh: Mesh): () => void {
  const end = () => {
    for (const pid of mesh.holdings().processes) process.kill(pid, "SIGKILL");
    rmSync(mesh.folder, { recursive: true, force: true });
    process.exit(1);
  };
  const signals = ["SIGINT", "SIGTERM"] as const;
  for (const signal of signals) process.once(signal, end);
  return () => {
    for (const signal of signals) process.off(signal, end);
  };
}

type Counts = Record<Side, Partial<Record<Kind, number>>>;

async function countsOf(pair: Pair, read: (text: string) => Partial<Record<Kind, number>>): Promise<Counts> {
  const [caller, called] = await Promise.all([pair.count("caller"), pair.count("called")]);
  return { caller: read(caller), called: read(called) };
}

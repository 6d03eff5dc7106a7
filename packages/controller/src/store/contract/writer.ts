// A process that writes and kills itself on the way. It says what it asks for, and what is answered: a line each, out before it goes on.
import { writeSync } from "node:fs";
import * as fc from "fast-check";
import type { Store } from "../store.ts";
import { operate } from "./concurrent.ts";
import { Memory, type Step, type Steps, stepsArbitrary, writeOf } from "./steps.ts";

const [module = "", opener = "", place, resource = "", seed, answers] = process.argv.slice(2);
const store: Store = await (await import(module))[opener](place);
const say = (line: object) => writeSync(1, `${JSON.stringify(line)}\n`);
say({ start: (await store.list(resource)).revision });
const clock = { now: 0 };
let heard = 0;

/** The kill comes within the writes that follow an answer, at another point of them for each seed. */
function killSoon(): void {
  setTimeout(() => process.kill(process.pid, "SIGKILL"), Number(seed) % 5);
}

async function client(number: number): Promise<void> {
  const memory = new Memory();
  for (const steps of fc.sample(stepsArbitrary, { seed: Number(seed) + number, numRuns: Number(answers) + 100 }))
    await ask(number, steps, memory);
}

async function ask(number: number, steps: Steps, memory: Memory): Promise<void> {
  const writes = steps.map((step) => writeOf(step, resource, memory, [`client${number}`])).slice(0, store.maxTransaction);
  say({ client: number, asked: { writes, begun: clock.now } });
  const { ended, answer } = await operate(store, writes, clock);
  say({ client: number, heard: { ended, answer } });
  heard += 1;
  if (heard === Number(answers)) killSoon();
  if (answer && "objects" in answer) memory.remember(answer.objects);
}

/** Writes many objects at once, again and again: what is half done shows. */
async function bulk(number: number): Promise<void> {
  const memory = new Memory();
  for (let value = 0; value < Number(answers) + 100; value++) {
    const many = Array.from({ length: Math.min(20, store.maxTransaction) }, (_, slot): Step => {
      return { verb: value === 0 ? "create" : "update", slot, basis: "latest", value };
    });
    await ask(number, many, memory);
  }
}

await Promise.all([client(1), client(2), client(3), bulk(4)]);

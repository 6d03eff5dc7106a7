import assert from "node:assert/strict";
import * as fc from "fast-check";
import type { Store, StoredObject } from "../store.ts";
import { explain, type Operation, operate } from "./concurrent.ts";
import { type Fault, withFaults } from "./faults.ts";
import { draft, Memory, type Steps, stepsArbitrary, writeOf } from "./steps.ts";
import { brokenPromises } from "./watch-rules.ts";
import { Recording } from "./watching.ts";

const faults = fc.array(fc.record({ call: fc.integer({ min: 1, max: 20 }), when: fc.constantFrom("before" as const, "after" as const) }), {
  maxLength: 3,
});

/** Some clients that write at the same time. */
export const runArbitrary: fc.Arbitrary<Run> = fc.record({
  scheduler: fc.scheduler(),
  clients: fc.array(fc.array(stepsArbitrary, { maxLength: 10 }), { minLength: 1, maxLength: 4 }),
  lost: faults,
  watchAt: fc.array(fc.nat(30), { maxLength: 3 }),
});

export interface Run {
  scheduler: fc.Scheduler;
  clients: Steps[][];
  lost: Fault[];
  /** Before which operations a watch begins, from some revision that is known then. */
  watchAt: number[];
  /** Ends all faults. */
  release?(): void;
}

/** Lets clients write in an order that the scheduler chooses, and holds all that they heard against the contract. */
export async function holdToOrder(store: Store, of: string, { scheduler, clients, lost, watchAt, release }: Run): Promise<void> {
  const { revision: start } = await store.list(of);
  const observer = new Recording(store, of, { from: start });
  const watches: Recording[] = [];
  const shaky = withFaults(store, { faults: lost });
  const memory = new Memory();
  const clock = { now: 0 };
  const operations: Operation[] = [];
  const revisions = [start];
  let asked = 0;
  const client = async (script: Steps[], number: number) => {
    for (const steps of script) {
      await scheduler.schedule(Promise.resolve(), `client ${number} asks`);
      asked += 1;
      if (watchAt.includes(asked))
        watches.push(
          new Recording(store, of, { from: revisions[asked % revisions.length] ?? start, namespace: [undefined, "ns1"][asked % 2] }),
        );
      const writes = steps.map((each) => writeOf(each, of, memory)).slice(0, store.maxTransaction);
      const operation = await operate(shaky, writes, clock);
      operations.push(operation);
      await scheduler.schedule(Promise.resolve(), `client ${number} hears`);
      const objects = operation.answer && "objects" in operation.answer ? operation.answer.objects : [];
      memory.remember(objects);
      revisions.push(...objects.map(({ metadata }) => metadata.resourceVersion));
    }
  };
  await scheduler.waitFor(Promise.all(clients.map(client)));
  release?.();
  for (const namespace of ["ns1", "ns10"]) {
    operations.push(await operate(store, [{ verb: "create", resource: of, object: draft(namespace, "last") }], clock));
    const concerned = [observer, ...watches].filter((watch) => (watch.namespace ?? namespace) === namespace);
    await Promise.all(concerned.map((watch) => watch.untilNamed("last", namespace)));
  }
  const world = explain(start, observer.changes, operations);
  assert.deepEqual(byPath((await store.list(of)).items), byPath([...world.objects.values()]), "ST11: the list is what came of all writes");
  for (const watch of [observer, ...watches]) {
    assert.deepEqual(brokenPromises(observer.changes, watch), []);
    await watch.stop();
  }
}

function byPath(items: readonly StoredObject[]): Record<string, StoredObject> {
  return Object.fromEntries(items.map((object) => [`${object.metadata.namespace}/${object.metadata.name}`, object]));
}

import assert from "node:assert/strict";
import type { WeftError } from "@weft/api";
import type { Change, Store, StoredObject, Write } from "../store.ts";
import { Lost } from "./faults.ts";
import { type Answer, emptyWorld, pathOf, step, type World } from "./model.ts";

/** Something that a client asked for. `begun` and `ended` are moments of a clock that all clients share. */
export interface Operation {
  writes: readonly Write[];
  begun: number;
  ended: number;
  /** Absent when it was lost. */
  answer?: Answer;
}

/** Asks, and notes what was answered. */
export async function operate(store: Store, writes: readonly Write[], clock: { now: number }): Promise<Operation> {
  const operation: Operation = { writes, begun: clock.now++, ended: 0 };
  const [only] = writes;
  try {
    const objects = writes.length === 1 && only !== undefined ? [await store.write(only)] : await store.transaction(writes);
    return { ...operation, answer: { objects }, ended: clock.now++ };
  } catch (error) {
    // What was lost may still happen at any time.
    if (error instanceof Lost) return { ...operation, ended: Number.POSITIVE_INFINITY };
    return { ...operation, answer: { code: (error as WeftError).code }, ended: clock.now++ };
  }
}

/**
 * Holds every answer against an order of all writes, which is that of their revisions: `history` is every change that a watch told, from `start` on.
 * Throws when there is an answer, or a change, that it does not explain. Answers the world at the end.
 */
export function explain(start: string, history: readonly Change[], operations: readonly Operation[]): World {
  const worlds: { world: World; by?: Operation }[] = [{ world: emptyWorld(start) }];
  // What was acknowledged comes before what may have happened.
  const unexplained = new Set(operations.toSorted((a, b) => Number(b.answer !== undefined) - Number(a.answer !== undefined)));
  for (const [revision, changes] of Map.groupBy(history, ({ object }) => object.metadata.resourceVersion)) {
    const { world } = worlds.at(-1) as { world: World };
    const failures: string[] = [];
    const by = [...unexplained].find((operation) => {
      const answer = operation.answer ?? lostAnswer(world, operation.writes, changes);
      if (!("objects" in answer) || !answer.objects.some(({ metadata }) => metadata.resourceVersion === revision)) return false;
      try {
        const made = step(world, operation.writes, answer);
        if (made.changes.length === 0) return false;
        assert.deepEqual(
          made.changes.map(({ object }) => object).toSorted(byName),
          changes.map(({ object }) => object).toSorted(byName),
          "ST18: a watch tells what was answered",
        );
        worlds.push({ world: made.world, by: operation });
        return true;
      } catch (error) {
        failures.push((error as Error).message);
        return false;
      }
    });
    assert.ok(by, `ST13: no write explains revision ${revision}: ${failures.join("; ") || "nobody asked for it"}`);
    unexplained.delete(by);
  }
  for (const operation of unexplained) if (operation.answer && !isNotMade(operation.answer)) observe(worlds, operation, operation.answer);
  const begun = worlds.map(({ by }) => by?.begun ?? 0);
  for (const [index, { by }] of worlds.entries())
    if (by && begun.slice(0, index).some((each) => each > by.ended))
      assert.fail(`ST12: ${by.writes.map(pathOf)} was answered before another write was asked for, and comes after it`);
  return (worlds.at(-1) as { world: World }).world;
}

/** Whether a store said that it could not write. That it did not (ST28) is known by then: nothing is left that it would explain. */
function isNotMade(answer: Answer): boolean {
  return "code" in answer && answer.code === "WEFT-C-STORE-UNWRITABLE";
}

/** Holds an answer that tells of no change against the worlds that there were while it was waited for. */
function observe(worlds: readonly { world: World; by?: Operation }[], { writes, begun, ended }: Operation, answer: Answer): void {
  const first = worlds.findLastIndex(({ by }) => by !== undefined && by.ended < begun);
  const last = worlds.findLastIndex(({ by }) => by === undefined || by.begun < ended);
  const failures = worlds.slice(Math.max(first, 0), last + 1).map(({ world }) => {
    try {
      return step(world, writes, answer).changes.length === 0 ? undefined : `ST18: no watch told of ${writes.map(pathOf)}`;
    } catch (error) {
      return (error as Error).message;
    }
  });
  assert.ok(failures.includes(undefined), failures[0]);
}

/** What must have been answered, if a write that was lost made these changes. */
function lostAnswer(world: World, writes: readonly Write[], changes: readonly Change[]): Answer {
  const objects = writes.map((write) => {
    const change = changes.find(
      ({ object: { metadata } }) => pathOf(write) === `${write.resource}/${metadata.namespace ?? ""}/${metadata.name}`,
    );
    return change?.object ?? world.objects.get(pathOf(write));
  });
  return objects.includes(undefined) ? { code: "lost" } : { objects: objects as StoredObject[] };
}

function byName(a: StoredObject, b: StoredObject): number {
  return a.metadata.name < b.metadata.name ? -1 : 1;
}

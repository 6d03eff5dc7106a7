import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import * as fc from "fast-check";
import { holdToOrder, runArbitrary } from "./clients.ts";
import { objectRules } from "./objects.ts";
import { restartRules } from "./restarts.ts";
import { create, type Rule, resource, type Subject, withCode } from "./subject.ts";
import { watchRules } from "./watches.ts";

/** How a store is held to its contract. */
export interface ContractOptions {
  /** Opens an empty store. */
  open(t: TestContext): Promise<Subject>;
  /** How many random cases are tried. */
  runs: number;
  /** Whether it remembers after it was reopened. */
  isDurable: boolean;
}

/** Registers the tests that every store passes; SPEC.md has the rules whose ids they begin with. */
export function storeContract(kind: string, { open, runs, isDurable }: ContractOptions): void {
  const rule: Rule = (name, body) =>
    test(`${kind}: ${name}`, async (t) => {
      const subject = await open(t);
      t.after(() => subject.store.close());
      await body(subject, t);
    });

  objectRules(rule);
  watchRules(rule);
  restartRules(rule, { isDurable });

  rule("ST24 ST25 ST26 ST27 one holder at a time has a lease, as long as it renews it in time", async ({ store, elapse }) => {
    const ttlMs = 400;
    const first = await store.acquire("leader", ttlMs);
    assert.ok(first?.held);
    assert.equal(await store.acquire("leader", ttlMs), undefined);
    assert.ok(await store.acquire("another", ttlMs));
    await elapse(ttlMs / 2);
    assert.equal(await first.renew(), true);
    await elapse((ttlMs * 3) / 4);
    assert.equal(first.held, true);
    assert.equal(await store.acquire("leader", ttlMs), undefined);
    await elapse(ttlMs);
    assert.equal(first.held, false);
    const second = await store.acquire("leader", ttlMs);
    assert.ok(second?.held);
    assert.equal(await first.renew(), false);
    await first.release();
    assert.deepEqual([first.held, second.held], [false, true]);
    assert.equal(await store.acquire("leader", ttlMs), undefined);
    await second.release();
    assert.equal(second.held, false);
    assert.ok((await store.acquire("leader", ttlMs))?.held);
  });

  rule("ST33 closing waits for the writes that were asked for before", async (subject) => {
    const { store } = subject;
    const asked = [store.write(create("a")), store.write(create("b"))];
    let made = 0;
    for (const write of asked) void write.then(() => made++);
    await store.close();
    assert.equal(made, 2);
    await assert.rejects(store.write(create("c")), withCode("STORE-UNWRITABLE"));
    if (isDurable) assert.equal((await (await subject.reopen()).list(resource)).items.length, 2);
  });

  let run = 0;
  rule(
    "ST12 ST13 ST15 to ST20 ST30 whatever clients do at once, some order explains all answers, and watches tell it",
    async ({ store }) => {
      const property = fc.asyncProperty(runArbitrary, async (clients) => {
        run += 1;
        await holdToOrder(store, `run${run}.test.weft.dev`, clients);
      });
      await fc.assert(property, { numRuns: runs });
    },
  );
}

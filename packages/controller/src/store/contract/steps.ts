import * as fc from "fast-check";
import type { Draft, StoredObject, Write } from "../store.ts";

/** A write before it is known what it is based on. */
export interface Step {
  verb: "create" | "update" | "status" | "delete";
  /** Which object, of a few. */
  slot: number;
  /** On which version: the latest that is known, an old one, one that never was, or none. */
  basis: "latest" | "old" | "wrong" | "none";
  /** What is written: few different things, so that some writes change nothing. */
  value: number;
}

/** A write, or a transaction of some. */
export type Steps = Step[];

const slots = 5;

const stepArbitrary: fc.Arbitrary<Step> = fc.record({
  verb: fc.oneof(fc.constant("create" as const), fc.constantFrom("update" as const, "status" as const, "delete" as const)),
  slot: fc.nat(slots - 1),
  basis: fc.oneof(
    { weight: 8, arbitrary: fc.constant("latest" as const) },
    fc.constantFrom("old" as const, "wrong" as const, "none" as const),
  ),
  value: fc.nat(2),
});

export const stepsArbitrary: fc.Arbitrary<Steps> = fc.oneof(
  { weight: 3, arbitrary: stepArbitrary.map((step) => [step]) },
  { weight: 1, arbitrary: fc.uniqueArray(stepArbitrary, { selector: ({ slot }) => slot, minLength: 2, maxLength: 3 }) },
);

/** The objects that a client has seen of each slot, oldest first. */
export class Memory {
  readonly #seen = new Map<string, StoredObject[]>();

  remember(objects: readonly StoredObject[]): void {
    for (const object of objects) this.#of(object.metadata).push(object);
  }

  pick({ namespace, name }: { namespace: string; name: string }, basis: Step["basis"]): StoredObject | undefined {
    const seen = this.#of({ namespace, name });
    return basis === "old" ? seen[0] : seen.at(-1);
  }

  #of({ namespace = "", name }: { namespace?: string; name: string }): StoredObject[] {
    const path = `${namespace}/${name}`;
    const seen = this.#seen.get(path) ?? [];
    this.#seen.set(path, seen);
    return seen;
  }
}

/** An object to write. */
export function draft(namespace: string, name: string, value = 0, metadata: Partial<Draft["metadata"]> = {}): Draft {
  return {
    apiVersion: "test.weft.dev/v1",
    kind: "Thing",
    metadata: { ...(namespace && { namespace }), name, ...metadata },
    spec: { value },
  };
}

/** The write that a step is for a client that has seen this. */
export function writeOf({ verb, slot, basis, value }: Step, resource: string, memory: Memory, namespaces = ["ns1", "ns10"]): Write {
  const place = { namespace: namespaces[slot % namespaces.length] as string, name: `slot${slot}` };
  const known = memory.pick(place, basis);
  const [uid, resourceVersion] = [
    basis === "wrong" ? "another" : known?.metadata.uid,
    basis === "wrong" ? "999999" : known?.metadata.resourceVersion,
  ];
  const precondition = basis === "none" ? {} : { ...(uid && { uid }), ...(resourceVersion && { resourceVersion }) };
  if (verb === "delete") return { verb, resource, ...place, ...precondition };
  const object = draft(place.namespace, place.name, value, {
    ...(verb !== "create" && precondition),
    ...(value === 2 && { labels: { value: "two" } }),
  });
  return { verb, resource, object: verb === "status" ? { ...object, status: { value } } : object };
}

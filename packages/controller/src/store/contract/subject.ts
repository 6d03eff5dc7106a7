import type { TestContext } from "node:test";
import type { Key, Store, StoredObject, Write } from "../store.ts";
import { draft } from "./steps.ts";

/** A store to hold to its contract. */
export interface Subject {
  store: Store;
  /** Has so much happen that nothing of what happened before is known any more. */
  forget(): Promise<void>;
  /** Lets time pass on the clock of leases. */
  elapse(ms: number): Promise<void>;
  /** Ends the store, and opens it again. */
  reopen(): Promise<Store>;
}

/** Registers a test of a fresh store, which ends with it. */
export type Rule = (name: string, body: (subject: Subject, t: TestContext) => Promise<void>) => void;

/** What the tests write. */
export const resource = "things.test.weft.dev";
export const key = (name: string, namespace = "ns1"): Key => ({ resource, namespace, name });
export const create = (name: string, namespace = "ns1", value = 0): Write => ({
  verb: "create",
  resource,
  object: draft(namespace, name, value),
});
export const update = (object: StoredObject, value: unknown): Write => ({
  verb: "update",
  resource,
  object: { ...object, spec: { value } },
});
export const status = (object: StoredObject, value: unknown): Write => ({
  verb: "status",
  resource,
  object: { ...object, status: { value } },
});
export const remove = (name: string, precondition = {}): Write => ({ verb: "delete", ...key(name), ...precondition });
export const withCode = (code: string) => ({ code: `WEFT-C-${code}` });
export const names = (items: readonly StoredObject[]) => items.map(({ metadata }) => metadata.name).toSorted();

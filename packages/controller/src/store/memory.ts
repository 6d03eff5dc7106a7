import { type LocalOptions, LocalStore } from "./local.ts";
import type { Store } from "./store.ts";

/** A store that forgets everything with the process. */
export function openMemoryStore(options: LocalOptions = {}): Store {
  // Revisions of an earlier process are older than all of this one's: watches that go on from them expire.
  return new LocalStore(undefined, { entries: [], floor: Date.now() * 1_000 }, options);
}

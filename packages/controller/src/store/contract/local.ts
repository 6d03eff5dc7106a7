import type { LocalOptions } from "../local.ts";
import type { Store, Write } from "../store.ts";
import { draft } from "./steps.ts";
import type { Subject } from "./subject.ts";

const changes = 400;

/** A store of one process, with a short history and a clock of its own. */
export async function localSubject(open: (options: LocalOptions) => Store | Promise<Store>): Promise<Subject> {
  let now = 0;
  let made = 0;
  const options: LocalOptions = { history: { changes }, now: () => now };
  const subject: Subject = {
    store: await open(options),
    async forget() {
      for (let round = 0; round < 4; round++) {
        const writes = Array.from(
          { length: changes / 3 },
          (): Write => ({ verb: "create", resource: "fillers.test.weft.dev", object: draft("", `filler${made++}`) }),
        );
        await subject.store.transaction(writes);
      }
    },
    async elapse(ms) {
      now += ms;
    },
    async reopen() {
      await subject.store.close();
      // With a longer memory: what was forgotten does not come back.
      subject.store = await open({ ...options, history: {} });
      return subject.store;
    },
  };
  return subject;
}

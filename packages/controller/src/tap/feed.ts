import type { TapEvent } from "@weft/api/proto";
import { Wakeup } from "../serve/wakeup.ts";

/** What a tap shows: a finished request, or how many matched and are not shown. */
export type Tapped =
  | { kind: "event"; workload: string; event: TapEvent }
  /** `error` is the stable code of the reason when the sidecar ended its part of the tap; empty when it goes on. */
  | { kind: "dropped"; workload: string; requests: number; error: string };

/** At most this many events wait for a reader, with about this many characters in all; what comes beyond is counted. */
export const maxWaiting = 4096;
const maxCharacters = 8 * 1024 * 1024;

/** The events of one tap on their way to one reader, who may be slower than they are. */
export class Feed {
  readonly #events: Extract<Tapped, { kind: "event" }>[] = [];
  #characters = 0;
  readonly #dropped = new Map<string, { requests: number; error: string }>();
  readonly #wakeup = new Wakeup();
  #stopped = false;

  event(workload: string, event: TapEvent): void {
    const size = sizeOf(event);
    if (this.#events.length >= maxWaiting || this.#characters + size > maxCharacters) {
      this.drop(workload, 1);
      return;
    }
    this.#characters += size;
    this.#events.push({ kind: "event", workload, event });
    this.#wakeup.wake();
  }

  drop(workload: string, requests: number, error = ""): void {
    const before = this.#dropped.get(workload);
    this.#dropped.set(workload, { requests: (before?.requests ?? 0) + requests, error: error || (before?.error ?? "") });
    this.#wakeup.wake();
  }

  /** Ends it; what waits is not shown any more. */
  stop(): void {
    this.#stopped = true;
    this.#wakeup.wake();
  }

  async *read(): AsyncGenerator<Tapped> {
    for (;;) {
      for (let next = this.#next(); next !== undefined && !this.#stopped; next = this.#next()) yield next;
      if (this.#stopped) return;
      await this.#wakeup.wait();
    }
  }

  #next(): Tapped | undefined {
    const event = this.#events.shift();
    if (event !== undefined) {
      this.#characters -= sizeOf(event.event);
      return event;
    }
    const [workload, counted] = this.#dropped.entries().next().value ?? [];
    if (workload === undefined || counted === undefined) return undefined;
    this.#dropped.delete(workload);
    return { kind: "dropped", workload, ...counted };
  }
}

// What a program can make long.
function sizeOf({ method, authority, path, requestFields, responseFields }: TapEvent): number {
  const fields = [...requestFields, ...responseFields].reduce((sum, { name, value }) => sum + name.length + value.length, 0);
  return method.length + authority.length + path.length + fields;
}

import type { TapEvent } from "@weft/api/proto";
import { Wakeup } from "../serve/wakeup.ts";

/** What a tap shows: a finished request, or how many matched and are not shown. */
export type Tapped =
  | { kind: "event"; workload: string; event: TapEvent }
  /** `error` is the stable code of the reason when the sidecar ended its part of the tap; empty when it goes on. */
  | { kind: "dropped"; workload: string; requests: number; error: string };

/** At most this many events wait for a reader; what comes beyond is counted. */
export const maxWaiting = 4096;

/** The events of one tap on their way to one reader, who may be slower than they are. */
export class Feed {
  readonly #events: Tapped[] = [];
  readonly #dropped = new Map<string, { requests: number; error: string }>();
  readonly #wakeup = new Wakeup();
  #stopped = false;

  event(workload: string, event: TapEvent): void {
    if (this.#events.length >= maxWaiting) {
      this.drop(workload, 1);
      return;
    }
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
    if (event !== undefined) return event;
    const [workload, counted] = this.#dropped.entries().next().value ?? [];
    if (workload === undefined || counted === undefined) return undefined;
    this.#dropped.delete(workload);
    return { kind: "dropped", workload, ...counted };
  }
}

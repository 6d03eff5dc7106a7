import type { TapEvent } from "@weft/api/proto";
import { Wakeup } from "../serve/wakeup.ts";

/** What a tap shows: a finished request, or how many matched and are not shown. */
export type Tapped =
  | { kind: "event"; workload: string; event: TapEvent }
  /** `error` is the stable code of the reason when the sidecar ended its part of the tap; empty when it goes on. */
  | { kind: "dropped"; workload: string; requests: number; error: string };

/** At most this many events wait for a reader; what comes beyond is counted. */
export const maxWaiting = 4096;
/** About this many bytes wait for one reader in any case, and for all together beyond that. */
const ownBytes = 512 * 1024;
const sharedBytes = 8 * 1024 * 1024;
// What an event and a field take beside their texts.
const eventBytes = 1024;
const fieldBytes = 128;

/** The room that the events of all taps share: a reader that stands still leaves others their own. */
export class Room {
  #left = sharedBytes;

  /** Takes bytes, unless there are not so many. */
  take(bytes: number): boolean {
    if (bytes > this.#left) return false;
    this.#left -= bytes;
    return true;
  }

  give(bytes: number): void {
    this.#left += bytes;
  }
}

/** The events of one tap on their way to one reader, who may be slower than they are. */
export class Feed {
  readonly #events: Extract<Tapped, { kind: "event" }>[] = [];
  readonly #room: Room;
  #bytes = 0;
  readonly #dropped = new Map<string, { requests: number; error: string }>();
  readonly #wakeup = new Wakeup();
  #stopped = false;

  constructor(room = new Room()) {
    this.#room = room;
  }

  event(workload: string, event: TapEvent): void {
    if (this.#stopped) return;
    if (this.#events.length >= maxWaiting || !this.#hold(this.#bytes + sizeOf(event))) {
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
    this.#events.length = 0;
    this.#hold(0);
    this.#wakeup.wake();
  }

  async *read(): AsyncGenerator<Tapped> {
    for (;;) {
      for (let next = this.#next(); next !== undefined && !this.#stopped; next = this.#next()) yield next;
      if (this.#stopped) return;
      await this.#wakeup.wait();
    }
  }

  /** Holds so many bytes from now on, unless there is no room for them: what is beyond the feed's own comes from what all share. */
  #hold(bytes: number): boolean {
    const more = Math.max(0, bytes - ownBytes) - Math.max(0, this.#bytes - ownBytes);
    if (more > 0 && !this.#room.take(more)) return false;
    if (more < 0) this.#room.give(-more);
    this.#bytes = bytes;
    return true;
  }

  #next(): Tapped | undefined {
    const event = this.#events.shift();
    if (event !== undefined) {
      this.#hold(this.#bytes - sizeOf(event.event));
      return event;
    }
    const [workload, counted] = this.#dropped.entries().next().value ?? [];
    if (workload === undefined || counted === undefined) return undefined;
    this.#dropped.delete(workload);
    return { kind: "dropped", workload, ...counted };
  }
}

function sizeOf({ method, authority, path, requestFields, responseFields }: TapEvent): number {
  const fields = [...requestFields, ...responseFields].reduce((sum, { name, value }) => sum + fieldBytes + name.length + value.length, 0);
  return eventBytes + method.length + authority.length + path.length + fields;
}

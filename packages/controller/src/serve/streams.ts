import { weftError } from "@weft/api";

/** At most this many streams of one workload at a time: a sidecar has five, and for a moment those of a connection that was lost. */
export const maxStreamsPerWorkload = 16;

/** Streams that are open, by workload. */
export class OpenStreams {
  readonly #open = new Map<string, Set<AbortController>>();

  /** Counts a stream until `leave` is called. Its `signal` aborts when `outer` does, or when all streams of the workload are ended. Throws WEFT-C-TOO-MANY. */
  enter(workload: string, outer: AbortSignal): { signal: AbortSignal; leave(): void } {
    const open = this.#open.get(workload) ?? new Set();
    if (open.size >= maxStreamsPerWorkload) {
      throw weftError("WEFT-C-TOO-MANY", `Workload ${workload} has ${maxStreamsPerWorkload} streams open, and no more are allowed.`);
    }
    const own = new AbortController();
    this.#open.set(workload, open.add(own));
    const passOn = () => own.abort(outer.reason);
    outer.addEventListener("abort", passOn, { once: true });
    if (outer.aborted) passOn();
    const leave = () => {
      outer.removeEventListener("abort", passOn);
      open.delete(own);
      if (open.size === 0 && this.#open.get(workload) === open) this.#open.delete(workload);
    };
    return { signal: own.signal, leave };
  }

  /** Ends all streams of a workload with this error. */
  end(workload: string, reason: Error): void {
    for (const each of this.#open.get(workload) ?? []) each.abort(reason);
  }
}

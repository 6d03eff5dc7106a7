import { weftError } from "@weft/api";

/** At most this many streams of one workload at a time: a sidecar has five, and for a moment those of a connection that was lost. */
export const maxStreamsPerWorkload = 16;

/** Streams that are open, by workload. */
export class OpenStreams {
  readonly #counts = new Map<string, number>();

  /** Counts a stream until the returned function is called. Throws WEFT-C-TOO-MANY. */
  enter(workload: string): () => void {
    const count = this.#counts.get(workload) ?? 0;
    if (count >= maxStreamsPerWorkload) {
      throw weftError("WEFT-C-TOO-MANY", `Workload ${workload} has ${maxStreamsPerWorkload} streams open, and no more are allowed.`);
    }
    this.#counts.set(workload, count + 1);
    return () => this.#leave(workload);
  }

  #leave(workload: string): void {
    const count = (this.#counts.get(workload) ?? 1) - 1;
    if (count > 0) this.#counts.set(workload, count);
    else this.#counts.delete(workload);
  }
}

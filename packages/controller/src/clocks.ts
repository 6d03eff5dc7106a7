/** How far the clocks of sidecars' machines are from the controller's. */
export class Clocks {
  readonly #skewMs = new Map<string, number>();

  /** A workload's sidecar sent something just now that says it is `theirsMs` (milliseconds since 1970). */
  heard(workload: string, theirsMs: number, oursMs = Date.now()): void {
    this.#skewMs.set(workload, theirsMs - oursMs);
  }

  /** By how many milliseconds the clock of a workload's sidecar is ahead of the controller's; undefined when it never said. */
  skewMs(workload: string): number | undefined {
    return this.#skewMs.get(workload);
  }

  forget(workload: string): void {
    this.#skewMs.delete(workload);
  }
}

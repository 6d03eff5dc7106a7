/** An update that a sidecar refused: what it was of, and the sidecar's words. */
interface Rejected {
  name: string;
  reason: string;
}

const maxKept = 50;

/** Updates that sidecars refused. */
export class Faults {
  #count = 0;
  readonly #last: (Rejected & { workload: string })[] = [];

  rejected(workload: string, rejected: Rejected): void {
    this.#count++;
    this.#last.push({ workload, ...rejected });
    if (this.#last.length > maxKept) this.#last.shift();
  }

  /** Number since the start, and the latest of them. */
  get rejections(): { count: number; last: (Rejected & { workload: string }) | undefined } {
    return { count: this.#count, last: this.#last.at(-1) };
  }
}

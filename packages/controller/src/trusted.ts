/** Which trust bundle is in force at each sidecar, as far as it said. */
export class Trusted {
  readonly #revisions = new Map<string, number>();

  /** A sidecar of a workload says that the bundle of a revision is in force. */
  acknowledged(workload: string, revision: number): void {
    this.#revisions.set(workload, revision);
  }

  /** Revision of the bundle that is in force at the sidecar of a workload; 0 before it said. */
  revisionAt(workload: string): number {
    return this.#revisions.get(workload) ?? 0;
  }

  forget(workload: string): void {
    this.#revisions.delete(workload);
  }
}

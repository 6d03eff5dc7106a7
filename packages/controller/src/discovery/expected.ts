import type { ServiceTable } from "./table.ts";

/**
 * Workloads that run but are not registered again yet, as after the registry was deleted. Until they are back, or gone, or were waited for long enough,
 * the table says that what it knows of their services is not all.
 */
export class Expected {
  readonly #table: ServiceTable;
  readonly #isAlive: (pid: number) => boolean;
  /** Launchers' processes, by workload. */
  readonly #launchers = new Map<string, number>();
  readonly #timer: NodeJS.Timeout;

  constructor(table: ServiceTable, isAlive: (pid: number) => boolean, patienceMs: number) {
    this.#table = table;
    this.#isAlive = isAlive;
    this.#timer = setTimeout(() => {
      for (const id of this.#launchers.keys()) this.arrived(id);
    }, patienceMs).unref();
  }

  /** Expects a workload; `keys` are its service's name and virtual address. */
  add(id: string, pid: number, keys: string[]): void {
    this.#launchers.set(id, pid);
    this.#table.expect(id, keys);
  }

  /** It is back, or not waited for any more. */
  arrived(id: string): void {
    if (this.#launchers.delete(id)) this.#table.arrived(id);
  }

  /** Expects those no more whose launchers ended. */
  sweep(): void {
    for (const [id, pid] of this.#launchers) if (!this.#isAlive(pid)) this.arrived(id);
  }

  close(): void {
    clearTimeout(this.#timer);
  }
}

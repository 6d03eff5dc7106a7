/**
 * Workloads that run but are not registered again yet, as after the registry was deleted. Until they are back, or gone, or were waited for long enough,
 * what is known of their services is not all.
 */
export class Expected {
  readonly #isAlive: (pid: number) => boolean;
  readonly #changed: () => void;
  /** Launchers' processes, by workload. */
  readonly #launchers = new Map<string, number>();
  /** Workloads, by what callers use of their services. */
  readonly #byKey = new Map<string, Set<string>>();
  readonly #timer: NodeJS.Timeout;

  /** `changed` hears when something is expected no more. */
  constructor(isAlive: (pid: number) => boolean, patienceMs: number, changed: () => void) {
    this.#isAlive = isAlive;
    this.#changed = changed;
    this.#timer = setTimeout(() => {
      for (const id of this.#launchers.keys()) this.arrived(id);
    }, patienceMs).unref();
  }

  /** Expects a workload; `keys` are its service's name and virtual address. */
  add(id: string, pid: number, keys: string[]): void {
    this.#launchers.set(id, pid);
    for (const key of keys) this.#byKey.set(key, (this.#byKey.get(key) ?? new Set()).add(id));
  }

  /** Whether workloads behind a name or virtual address are expected back. */
  has(key: string): boolean {
    return this.#byKey.has(key);
  }

  /** It is back, or not waited for any more. */
  arrived(id: string): void {
    if (!this.#launchers.delete(id)) return;
    const before = this.#byKey.size;
    for (const [key, workloads] of this.#byKey) if (workloads.delete(id) && workloads.size === 0) this.#byKey.delete(key);
    if (this.#byKey.size < before) this.#changed();
  }

  /** Expects those no more whose launchers ended. */
  sweep(): void {
    for (const [id, pid] of this.#launchers) if (!this.#isAlive(pid)) this.arrived(id);
  }

  close(): void {
    clearTimeout(this.#timer);
  }
}

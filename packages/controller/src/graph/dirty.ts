/** Who read what: which views to remake when something changed. */
export class Reads {
  readonly #byReader = new Map<string, ReadonlySet<string>>();
  readonly #byRead = new Map<string, Set<string>>();

  /** Takes the place of what that reader read before; answers what it reads no more. */
  record(reader: string, reads: ReadonlySet<string>): string[] {
    const before = this.#byReader.get(reader) ?? new Set<string>();
    for (const key of reads) {
      const readers = this.#byRead.get(key);
      if (readers === undefined) this.#byRead.set(key, new Set([reader]));
      else readers.add(reader);
    }
    const gone = [...before].filter((key) => !reads.has(key));
    for (const key of gone) {
      const readers = this.#byRead.get(key);
      readers?.delete(reader);
      if (readers?.size === 0) this.#byRead.delete(key);
    }
    if (reads.size === 0) this.#byReader.delete(reader);
    else this.#byReader.set(reader, reads);
    return gone;
  }

  readersOf(key: string): Iterable<string> {
    return this.#byRead.get(key) ?? [];
  }

  isRead(key: string): boolean {
    return this.#byRead.has(key);
  }
}

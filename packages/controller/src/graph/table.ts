const bucketCount = 512;

/** An immutable map. A changed copy shares with the original all but the buckets in which something changed: of 100,000 entries some 200 are copied for one change. */
export class Table<Value> {
  readonly #buckets: readonly ReadonlyMap<string, Value>[];

  private constructor(buckets: readonly ReadonlyMap<string, Value>[]) {
    this.#buckets = buckets;
  }

  static empty<Value>(): Table<Value> {
    return new Table<Value>(Array<ReadonlyMap<string, Value>>(bucketCount).fill(new Map()));
  }

  get(key: string): Value | undefined {
    return this.#buckets[bucketOf(key)]?.get(key);
  }

  /** Keys, in no particular order. */
  *keys(): Iterable<string> {
    for (const bucket of this.#buckets) yield* bucket.keys();
  }

  /** A copy with these changes; undefined takes a key out. */
  with(changes: ReadonlyMap<string, Value | undefined>): Table<Value> {
    if (changes.size === 0) return this;
    const buckets = [...this.#buckets];
    const copies = new Map<number, Map<string, Value>>();
    for (const [key, value] of changes) {
      const index = bucketOf(key);
      const bucket = copies.get(index) ?? new Map(buckets[index]);
      copies.set(index, bucket);
      buckets[index] = bucket;
      if (value === undefined) bucket.delete(key);
      else bucket.set(key, value);
    }
    return new Table(buckets);
  }
}

// FNV-1a over UTF-16 units.
function bucketOf(key: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < key.length; index += 1) hash = Math.imul(hash ^ key.charCodeAt(index), 0x01000193);
  return (hash >>> 0) % bucketCount;
}

import { Reads } from "./dirty.ts";
import type { SourceEvent } from "./events.ts";
import { RecordingReader, viewKey } from "./reader.ts";
import { reduce } from "./reduce.ts";
import { emptySnapshot, type Snapshot } from "./snapshot.ts";
import { type Result, type View, versionOf } from "./view.ts";

/** What a view made of a key. */
export interface Made<Value> extends Result<Value> {
  /** Hash of the value: the same on every replica that knows the same. */
  readonly version: string;
  /** Hash of the findings. */
  readonly findingsVersion: string;
}

/** A view's result that is not what it was. */
export interface ViewChange {
  readonly view: string;
  readonly key: string;
  /** What it was, of which a difference can be told. */
  readonly before: Made<unknown>;
  readonly after: Made<unknown>;
}

/** A view that threw, which is a mistake of its own: what it made before still holds, until something that it read changes. */
export interface ViewFailure {
  readonly view: string;
  readonly key: string;
  readonly error: unknown;
}

/** What came of events. */
export interface Applied {
  /** Views that were made anew, by `viewKey`, whether or not anything came of it. */
  readonly remade: readonly string[];
  readonly changes: readonly ViewChange[];
  readonly failures: readonly ViewFailure[];
}

interface Held {
  view: View<unknown>;
  rank: number;
  key: string;
  made: Made<unknown>;
  /** How many want it, other views aside. */
  wanted: number;
}

/** The snapshot, and the views that somebody wants of it, each as a fresh start would make it. No effects: whoever holds it gives it events. */
export class Graph {
  #snapshot: Snapshot = emptySnapshot;
  readonly #ranks: ReadonlyMap<View<unknown>, number>;
  readonly #held = new Map<string, Held>();
  readonly #reads = new Reads();

  /** Views may read those before them. */
  constructor(views: readonly View<unknown>[]) {
    this.#ranks = new Map(views.map((view, rank) => [view, rank]));
  }

  get snapshot(): Snapshot {
    return this.#snapshot;
  }

  /** How many views are held. */
  get size(): number {
    return this.#held.size;
  }

  /** What a view makes of a key. From now on changes of it are told, until it was released as often as it was wanted. */
  want<Value>(view: View<Value>, key: string): Made<Value> {
    const held = this.#hold(view, key);
    held.wanted += 1;
    return held.made as Made<Value>;
  }

  release(view: View<unknown>, key: string): void {
    const held = this.#held.get(viewKey(view, key));
    if (held === undefined || held.wanted === 0) return;
    held.wanted -= 1;
    this.#drop(viewKey(view, key));
  }

  /** Takes events in and remakes the views that read what changed, each at most once; answers those whose value or findings differ. */
  apply(events: readonly SourceEvent[]): Applied {
    const { snapshot, changed } = reduce(this.#snapshot, events);
    this.#snapshot = snapshot;
    const dirty = Array.from({ length: this.#ranks.size }, () => new Set<string>());
    const soil = (key: string) => {
      for (const reader of this.#reads.readersOf(key)) dirty[this.#held.get(reader)?.rank ?? 0]?.add(reader);
    };
    for (const key of changed) soil(key);
    const remade: string[] = [];
    const changes: ViewChange[] = [];
    const failures: ViewFailure[] = [];
    for (const ids of dirty) {
      for (const id of ids) {
        const held = this.#held.get(id);
        if (held === undefined) continue;
        remade.push(id);
        const before = held.made;
        try {
          held.made = this.#make(id, held, before);
        } catch (error) {
          failures.push({ view: held.view.name, key: held.key, error });
        }
        if (before.version !== held.made.version) soil(id);
        if (before !== held.made) changes.push({ view: held.view.name, key: held.key, before, after: held.made });
      }
    }
    return { remade, changes, failures };
  }

  #hold(view: View<unknown>, key: string): Held {
    const id = viewKey(view, key);
    const existing = this.#held.get(id);
    if (existing !== undefined) return existing;
    const rank = this.#ranks.get(view);
    if (rank === undefined) throw new Error(`The view ${view.name} is not among those of this graph.`);
    const held = { view, rank, key, made: madeOf({ value: undefined, findings: [] }), wanted: 0 };
    this.#held.set(id, held);
    try {
      held.made = this.#make(id, held, held.made);
    } catch (error) {
      this.#drop(id);
      throw error;
    }
    return held;
  }

  /** Makes a view anew; the same object when nothing differs. */
  #make(id: string, { view, rank, key }: Held, before: Made<unknown>): Made<unknown> {
    const reader = new RecordingReader(this.#snapshot, (other, otherKey) => {
      if ((this.#ranks.get(other) ?? rank) >= rank) throw new Error(`The view ${view.name} read ${other.name}, which is not before it.`);
      return this.#hold(other, otherKey).made.value;
    });
    let made: Made<unknown>;
    try {
      made = madeOf(view.make(reader, key));
    } finally {
      for (const gone of this.#reads.record(id, reader.reads)) this.#drop(gone);
    }
    return made.version === before.version && made.findingsVersion === before.findingsVersion ? before : made;
  }

  /** Forgets a view that nobody wants or reads, and what only it read. */
  #drop(id: string): void {
    const held = this.#held.get(id);
    if (held === undefined || held.wanted > 0 || this.#reads.isRead(id)) return;
    this.#held.delete(id);
    for (const gone of this.#reads.record(id, new Set())) this.#drop(gone);
  }
}

function madeOf({ value, findings }: Result<unknown>): Made<unknown> {
  return { value, findings, version: versionOf(value), findingsVersion: versionOf(findings) };
}

import { weftError } from "@weft/api";
import { leafLifeMs } from "./ca/authority.ts";
import type { TombstoneRecord, WorkloadRecord } from "./model/records.ts";

/** At most this many, and with them revocations in a trust bundle. */
export const maxTombstones = 10_000;

// What was under way when the workload was removed is signed a moment later.
const marginMs = 5 * 60_000;

/**
 * Workloads that a person removed. None of them is registered again, and their certificates are refused until the last has expired. A tombstone is kept
 * for as long as that takes, or as a launcher runs that would register its workload anew.
 */
export class Tombstones {
  readonly #records: Map<string, TombstoneRecord>;
  readonly #isAlive: (pid: number) => boolean;
  readonly #nextRevision: () => number;
  #revision: number;
  #revisedAt = Date.now();

  constructor(records: TombstoneRecord[], host: { isAlive(pid: number): boolean }, nextRevision: () => number) {
    this.#records = new Map(records.map((record) => [record.id, record]));
    this.#isAlive = (pid) => host.isAlive(pid);
    this.#nextRevision = nextRevision;
    this.#revision = nextRevision();
  }

  /** Revision of `revocations`. It grows with each, and over restarts. */
  get revision(): number {
    return this.#revision;
  }

  /** When it last grew, milliseconds since 1970. */
  get revisedAt(): number {
    return this.#revisedAt;
  }

  has(id: string): boolean {
    return this.#records.has(id);
  }

  /** The tombstone of a workload that is removed now. Throws WEFT-C-TOO-MANY. */
  of({ id, service, namespace, pid }: WorkloadRecord, now = Date.now()): TombstoneRecord {
    if (this.#records.size - this.outdated(now).length >= maxTombstones) {
      throw weftError("WEFT-C-TOO-MANY", `${maxTombstones} workloads were removed within a day, and no more can be.`, {
        hint: "To refuse all certificates at once, move the directory `ca` away while the controller is down: running workloads register anew.",
      });
    }
    return { id, service, namespace, pid, removedAt: now, certificatesUntil: now + leafLifeMs + marginMs };
  }

  /** Those that nobody needs any more. */
  outdated(now = Date.now()): TombstoneRecord[] {
    return [...this.#records.values()].filter(({ certificatesUntil, pid }) => certificatesUntil < now && !this.#isAlive(pid));
  }

  /** Takes in a tombstone that was made durable, in place of others that are outdated. */
  add(record: TombstoneRecord, outdated: TombstoneRecord[]): void {
    for (const { id } of outdated) this.#records.delete(id);
    this.#records.set(record.id, record);
    this.#revision = this.#nextRevision();
    this.#revisedAt = Date.now();
  }

  /** Workloads whose certificates are refused now, and until when (milliseconds since 1970). */
  revocations(now = Date.now()): { id: string; until: number }[] {
    return [...this.#records.values()]
      .filter(({ certificatesUntil }) => certificatesUntil >= now)
      .map(({ id, certificatesUntil }) => ({ id, until: certificatesUntil }));
  }
}

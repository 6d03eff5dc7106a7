/** Places of the numbers in a `Counters`. */
export const at = {
  requests: 0,
  failures: 1,
  /** Six places: no answer, then 1xx to 5xx. */
  statusClass: 2,
  requestBytes: 8,
  responseBytes: 9,
  opened: 10,
  closed: 11,
  failed: 12,
  tcpRequestBytes: 13,
  tcpResponseBytes: 14,
  /** Connections that were opened without TLS. */
  plain: 15,
} as const;

/** Number of places. */
export const places = 16;
const maxLabels = 64;

/** Everything that is counted of one kind of traffic, flat because there are very many. */
export interface Counters {
  numbers: Float64Array;
  /** Requests by "grpc N" and by "error CODE". */
  labels: Map<string, number> | undefined;
}

/** Counters that counted nothing. */
export function emptyCounters(): Counters {
  return { numbers: new Float64Array(places), labels: undefined };
}

/** Adds `other` to `target`. */
export function addCounters(target: Counters, other: Counters): void {
  for (let place = 0; place < places; place++) (target.numbers[place] as number) += other.numbers[place] as number;
  for (const [label, count] of other.labels ?? []) addLabel(target, label, count);
}

/** Counts requests under a label; beyond 64 labels under "error other". */
export function addLabel(target: Counters, label: string, count: number): void {
  target.labels ??= new Map();
  const kept = target.labels.has(label) || target.labels.size < maxLabels ? label : "error other";
  target.labels.set(kept, (target.labels.get(kept) ?? 0) + count);
}

/**
 * The share of slot `slot` of `slots` in the whole number of things ranked from `from` to `to`: things are dealt to the slots in turn, so shares are whole, even, and
 * add up.
 */
export function shareOf(from: number, to: number, slot: number, slots: number): number {
  const upTo = (rank: number) => Math.floor((rank - slot + slots - 1) / slots);
  return upTo(to) - upTo(from);
}

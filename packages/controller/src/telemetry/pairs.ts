import { type Histogram, maxBucket } from "@weft/api";
import { addLabel, type Counters, places, shareOf } from "./counters.ts";

/**
 * What was counted, as places and counts in turn, ascending by place: first the numbers of `Counters`, then the buckets of the latency, then labels. One flat list, because
 * there are very many, and never changed, so that several slots can hold the same.
 */
export type Pairs = readonly number[];

const firstBucket = places;
const firstLabel = firstBucket + maxBucket + 1;
const maxLabels = 1000;
const otherLabel = "error other";

/** Labels by number: each text is kept once. Beyond 1,000 they are "error other". */
export class Labels {
  readonly #ids = new Map<string, number>([[otherLabel, 0]]);
  readonly #texts = [otherLabel];

  idOf(label: string): number {
    const found = this.#ids.get(label);
    if (found !== undefined) return found;
    if (this.#texts.length >= maxLabels) return 0;
    this.#ids.set(label, this.#texts.length);
    return this.#texts.push(label) - 1;
  }

  textOf(id: number): string {
    return this.#texts[id] ?? otherLabel;
  }
}

/** Counters and latency as pairs. */
export function pairsOf({ numbers, labels }: Counters, latency: Histogram | undefined, known: Labels): Pairs {
  const pairs: number[] = [];
  for (const [place, value] of numbers.entries()) if (value > 0) pairs.push(place, value);
  for (const [index, count] of [...(latency?.counts ?? [])].sort(([a], [b]) => a - b)) pairs.push(firstBucket + index, count);
  const sums = new Map<number, number>();
  for (const [label, count] of labels ?? []) sums.set(known.idOf(label), (sums.get(known.idOf(label)) ?? 0) + count);
  for (const [id, count] of [...sums].sort(([a], [b]) => a - b)) pairs.push(firstLabel + id, count);
  return pairs;
}

/** Adds pairs to counters and latency. */
export function addPairs({ window, latency }: { window: Counters; latency: Histogram }, pairs: Pairs, known: Labels): void {
  for (let i = 0; i < pairs.length; i += 2) {
    const [place, count] = [pairs[i] as number, pairs[i + 1] as number];
    if (place < firstBucket) (window.numbers[place] as number) += count;
    else if (place < firstLabel) latency.counts.set(place - firstBucket, (latency.counts.get(place - firstBucket) ?? 0) + count);
    else addLabel(window, known.textOf(place - firstLabel), count);
  }
}

/** The sum of two. */
export function mergePairs(a: Pairs, b: Pairs): Pairs {
  const merged: number[] = [];
  let [i, j] = [0, 0];
  while (i < a.length && j < b.length) {
    const [left, right] = [a[i] as number, b[j] as number];
    merged.push(Math.min(left, right), (left <= right ? (a[i + 1] as number) : 0) + (right <= left ? (b[j + 1] as number) : 0));
    if (left <= right) i += 2;
    if (right <= left) j += 2;
  }
  for (; i < a.length; i++) merged.push(a[i] as number);
  for (; j < b.length; j++) merged.push(b[j] as number);
  return merged;
}

/** The share of one slot: whole and even, and all slots' shares add up. Latencies are dealt out by rank. */
export function shareOfPairs(pairs: Pairs, slot: number, slots: number): Pairs {
  const shares: number[] = [];
  let rank = 0;
  for (let i = 0; i < pairs.length; i += 2) {
    const [place, count] = [pairs[i] as number, pairs[i + 1] as number];
    const isBucket = place >= firstBucket && place < firstLabel;
    const from = isBucket ? rank : 0;
    const share = shareOf(from, from + count, slot, slots);
    if (share > 0) shares.push(place, share);
    if (isBucket) rank += count;
  }
  return shares;
}

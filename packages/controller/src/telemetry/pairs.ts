import { type Histogram, maxBucket } from "@weft/api/light";
import { addLabel, type Counters, places, shareOf } from "./counters.ts";

/** What is measured of each request, as RequestSeries of the contract has it. */
export const measures = ["latency", "requestSizes", "responseSizes"] as const;
export type Measure = (typeof measures)[number];

/**
 * What was counted, as places and counts in turn, ascending by place: first the numbers of `Counters`, then the buckets of each measure, then labels. One flat list, because
 * there are very many, and never changed, so that several slots can hold the same.
 */
export type Pairs = readonly number[];

const buckets = maxBucket + 1;
const firstBucket = places;
const firstLabel = firstBucket + measures.length * buckets;
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

/** Counters and measures as pairs. A measure is the indices and counts of its buckets in turn, ascending. */
export function pairsOf({ numbers, labels }: Counters, measured: Partial<Record<Measure, Pairs>>, known: Labels): Pairs {
  const pairs: number[] = [];
  for (let place = 0; place < places; place++) {
    const value = numbers[place] as number;
    if (value > 0) pairs.push(place, value);
  }
  for (const [number, measure] of measures.entries()) {
    const first = firstBucket + number * buckets;
    const counts = measured[measure] ?? [];
    for (let i = 0; i < counts.length; i += 2) pairs.push(first + (counts[i] as number), counts[i + 1] as number);
  }
  if (labels === undefined) return pairs;
  const sums = new Map<number, number>();
  for (const [label, count] of labels) sums.set(known.idOf(label), (sums.get(known.idOf(label)) ?? 0) + count);
  for (const [id, count] of [...sums].sort(([a], [b]) => a - b)) pairs.push(firstLabel + id, count);
  return pairs;
}

/** Adds pairs to counters and measures. */
export function addPairs(
  { window, measured }: { window: Counters; measured: Record<Measure, Histogram> },
  pairs: Pairs,
  known: Labels,
): void {
  for (let i = 0; i < pairs.length; i += 2) {
    const [place, count] = [pairs[i] as number, pairs[i + 1] as number];
    if (place < firstBucket) (window.numbers[place] as number) += count;
    else if (place < firstLabel) {
      const { counts } = measured[measureAt(place)];
      const bucket = (place - firstBucket) % buckets;
      counts.set(bucket, (counts.get(bucket) ?? 0) + count);
    } else addLabel(window, known.textOf(place - firstLabel), count);
  }
}

// Room for what is merged, used again and again: most of the time of a report goes into merging.
const merged: number[] = [];

/** The sum of two. */
export function mergePairs(a: Pairs, b: Pairs): Pairs {
  let [i, j, length] = [0, 0, 0];
  while (i < a.length && j < b.length) {
    const left = a[i] as number;
    const right = b[j] as number;
    if (left < right) {
      merged[length++] = left;
      merged[length++] = a[i + 1] as number;
      i += 2;
    } else if (right < left) {
      merged[length++] = right;
      merged[length++] = b[j + 1] as number;
      j += 2;
    } else {
      merged[length++] = left;
      merged[length++] = (a[i + 1] as number) + (b[j + 1] as number);
      i += 2;
      j += 2;
    }
  }
  while (i < a.length) merged[length++] = a[i++] as number;
  while (j < b.length) merged[length++] = b[j++] as number;
  return merged.slice(0, length);
}

/**
 * What falls to each of some slots, from the first to the last but one of a span: whole and even, and all slots' shares add up. The values of a measure are dealt out by
 * rank. Slots to which nothing falls are left out, so that it costs what the pairs hold, however many slots there are.
 */
export function dealPairs(pairs: Pairs, slots: number, from = 0): Map<number, number[]> {
  const shares = new Map<number, number[]>();
  const deal = (slot: number, place: number, share: number) => {
    const held = shares.get(slot);
    if (held === undefined) shares.set(slot, [place, share]);
    else held.push(place, share);
  };
  const ranks: Record<Measure, number> = { latency: 0, requestSizes: 0, responseSizes: 0 };
  for (let i = 0; i < pairs.length; i += 2) {
    const [place, count] = [pairs[i] as number, pairs[i + 1] as number];
    const measure = place >= firstBucket && place < firstLabel ? measureAt(place) : undefined;
    const first = measure === undefined ? 0 : ranks[measure];
    if (measure !== undefined) ranks[measure] += count;
    if (count < slots) {
      for (let rank = first; rank < first + count; rank++) if (rank % slots >= from) deal(rank % slots, place, 1);
    } else {
      for (let slot = from; slot < slots; slot++) deal(slot, place, shareOf(first, first + count, slot, slots));
    }
  }
  return shares;
}

function measureAt(place: number): Measure {
  return measures[Math.floor((place - firstBucket) / buckets)] as Measure;
}

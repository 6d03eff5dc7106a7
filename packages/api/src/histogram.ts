import type { Histogram as WireHistogram } from "./gen/weft/v1/telemetry_pb.js";

/** Log-linear histogram of whole numbers, mergeable by addition; the scheme is that of `Histogram` in telemetry.proto. */
export interface Histogram {
  /** Counts by index of their bucket. */
  counts: Map<number, number>;
  /** Sum of all values. */
  sum: number;
}

/** What the encoder of a report needs. */
export type HistogramFields = Pick<WireHistogram, "indexDeltas" | "counts" | "sum">;

/** Highest index: of values below 2^64. */
export const maxBucket = 64 + 64 * 57 + 127 - 64;

/** Makes an empty histogram. */
export function emptyHistogram(): Histogram {
  return { counts: new Map(), sum: 0 };
}

/** Index of the bucket of a value, a whole number from 0 to 2^53. */
export function bucketOf(value: number): number {
  if (value < 64) return value;
  const octave = Math.floor(Math.log2(value));
  // log2 rounds up just below large powers of two.
  const exponent = 2 ** octave > value ? octave - 1 : octave;
  return 64 + 64 * (exponent - 6) + Math.floor(value / 2 ** (exponent - 6)) - 64;
}

/** Lowest value of a bucket, and its number of values. */
export function bucketBounds(index: number): { low: number; width: number } {
  if (index < 128) return { low: index, width: 1 };
  const width = 2 ** (Math.floor(index / 64) - 1);
  return { low: (64 + (index % 64)) * width, width };
}

/** Counts one value. */
export function record(histogram: Histogram, value: number): void {
  const index = bucketOf(value);
  histogram.counts.set(index, (histogram.counts.get(index) ?? 0) + 1);
  histogram.sum += value;
}

/** Adds `other` to `target`, each count times `factor`. */
export function merge(target: Histogram, other: Histogram, factor = 1): void {
  for (const [index, count] of other.counts) target.counts.set(index, (target.counts.get(index) ?? 0) + count * factor);
  target.sum += other.sum * factor;
}

/** Number of values. */
export function count(histogram: Histogram): number {
  let total = 0;
  for (const each of histogram.counts.values()) total += each;
  return total;
}

/** The value below which the share `q` (0 to 1) of all values lies: the middle of its bucket; undefined when there is no value. */
export function quantile(histogram: Histogram, q: number): number | undefined {
  const total = count(histogram);
  if (total === 0) return undefined;
  const rank = Math.max(1, Math.ceil(q * total));
  let seen = 0;
  let found = 0;
  for (const index of [...histogram.counts.keys()].sort((a, b) => a - b)) {
    const here = histogram.counts.get(index) as number;
    if (here > 0) found = index;
    seen += here;
    // Shares of spread reports add up with rounding errors.
    if (seen >= rank - 1e-6) break;
  }
  const { low, width } = bucketBounds(found);
  return low + (width - 1) / 2;
}

/** Reads a histogram of a report: indices and counts of its buckets in turn, ascending; undefined when it does not fit the scheme. */
export function decodeHistogram({ indexDeltas, counts }: HistogramFields): number[] | undefined {
  if (indexDeltas.length !== counts.length || counts.length > maxBucket + 1) return undefined;
  const pairs: number[] = [];
  let index = 0;
  for (let position = 0; position < counts.length; position++) {
    const delta = indexDeltas[position] as number;
    if (position > 0 && delta === 0) return undefined;
    index += delta;
    if (index > maxBucket) return undefined;
    pairs.push(index, Number(counts[position]));
  }
  return pairs;
}

/** Writes a histogram for a report. */
export function encodeHistogram(histogram: Histogram): HistogramFields {
  const indices = [...histogram.counts.keys()].sort((a, b) => a - b);
  return {
    indexDeltas: indices.map((index, position) => index - (indices[position - 1] ?? 0)),
    counts: indices.map((index) => BigInt(histogram.counts.get(index) as number)),
    sum: BigInt(histogram.sum),
  };
}

import type { Pairs } from "./pairs.ts";

// Seven bits a byte, the lowest first; the highest bit says that more follow. Counts may need more than the 32 bits that JavaScript shifts.
const more = 0x80;

class Writer {
  #bytes = Buffer.allocUnsafe(4096);
  #length = 0;

  put(value: number): void {
    if (this.#length + 8 > this.#bytes.length) this.#bytes = Buffer.concat([this.#bytes], this.#bytes.length * 2);
    let rest = value;
    for (; rest >= more; rest = Math.floor(rest / more)) this.#bytes[this.#length++] = (rest % more) + more;
    this.#bytes[this.#length++] = rest;
  }

  /** What was put, in memory of its own. */
  take(): Uint8Array {
    return new Uint8Array(this.#bytes.subarray(0, this.#length));
  }
}

/** The cells of a slot that is over, in few bytes: neighbours are near each other and most counts are small. */
export function pack(cells: ReadonlyMap<number, Pairs>): Uint8Array {
  const writer = new Writer();
  for (const [series, pairs] of cells) {
    writer.put(series);
    writer.put(pairs.length / 2);
    let place = 0;
    for (let i = 0; i < pairs.length; i += 2) {
      writer.put((pairs[i] as number) - place);
      writer.put(pairs[i + 1] as number);
      place = pairs[i] as number;
    }
  }
  return writer.take();
}

/** Calls `visit` with each cell. */
export function visitPacked(packed: Uint8Array, visit: (series: number, pairs: Pairs) => void): void {
  let at = 0;
  const next = () => {
    let [value, factor] = [0, 1];
    for (;;) {
      const byte = packed[at++] as number;
      value += (byte % more) * factor;
      if (byte < more) return value;
      factor *= more;
    }
  };
  while (at < packed.length) {
    const series = next();
    const pairs = new Array<number>(2 * next());
    let place = 0;
    for (let i = 0; i < pairs.length; i += 2) {
      place += next();
      pairs[i] = place;
      pairs[i + 1] = next();
    }
    visit(series, pairs);
  }
}

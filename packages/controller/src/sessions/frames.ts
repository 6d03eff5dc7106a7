import { violation } from "../serve/errors.ts";

/** Longest message of a sidecar, bytes. */
export const maxMessageBytes = 1 << 20;

/** Takes gRPC's frames apart: a byte for compression, which is not supported, four for the length, and the message. */
export class FrameReader {
  #chunks: Buffer[] = [];
  #size = 0;

  /** Messages that are complete with this chunk. Throws WEFT-C-STREAM-VIOLATION. */
  *push(chunk: Buffer): Generator<Buffer> {
    this.#chunks.push(chunk);
    this.#size += chunk.length;
    while (this.#size >= 5) {
      const head = this.#peek(5);
      const length = head.readUInt32BE(1);
      if (head[0] !== 0) throw violation("A message is compressed, which is not supported.");
      if (length > maxMessageBytes) throw violation(`A message has ${length} bytes, over ${maxMessageBytes}.`);
      if (this.#size < 5 + length) return;
      yield this.#take(5 + length).subarray(5);
    }
  }

  #peek(count: number): Buffer {
    const [first] = this.#chunks;
    if (first !== undefined && first.length >= count) return first;
    this.#chunks = [Buffer.concat(this.#chunks)];
    return this.#chunks[0] as Buffer;
  }

  #take(count: number): Buffer {
    const all = this.#peek(count);
    this.#chunks[0] = all.subarray(count);
    this.#size -= count;
    return all.subarray(0, count);
  }
}

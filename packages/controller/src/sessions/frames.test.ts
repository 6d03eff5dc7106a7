import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { framed } from "../translate/frame.ts";
import { FrameReader, maxMessageBytes } from "./frames.ts";

const read = (reader: FrameReader, chunk: Buffer) => [...reader.push(chunk)].map((message) => message.toString("hex"));

test("however frames are cut into chunks, the same messages come out", () => {
  const messages = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 10 });
  fc.assert(
    fc.property(messages, fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }), (all, sizes) => {
      const bytes = Buffer.concat(all.map(framed));
      const reader = new FrameReader();
      const out: string[] = [];
      for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
        const size = sizes[turn % sizes.length] as number;
        out.push(...read(reader, bytes.subarray(at, at + size)));
        at += size;
      }
      assert.deepEqual(
        out,
        all.map((message) => Buffer.from(message).toString("hex")),
      );
    }),
  );
});

test("a message that is compressed or too long is refused as soon as its head is there", () => {
  const head = (flag: number, length: number) => {
    const bytes = Buffer.alloc(5);
    bytes.writeUInt8(flag);
    bytes.writeUInt32BE(length, 1);
    return bytes;
  };
  assert.throws(() => read(new FrameReader(), head(1, 3)), { code: "WEFT-C-STREAM-VIOLATION", message: /compressed/ });
  assert.throws(() => read(new FrameReader(), head(0, maxMessageBytes + 1)), { code: "WEFT-C-STREAM-VIOLATION", message: /1048577 bytes/ });
});

// As much of HTTP/2 as a client and a server need that always say the same: Node's own divide an answer into one or two writes as it happens, and what a sidecar
// does for it differs.

const [DATA, HEADERS, SETTINGS, PING, WINDOW_UPDATE] = [0, 1, 4, 6, 8];
const END_STREAM = 1;
const ACK = 1;
const END_HEADERS = 4;
const LARGEST_WINDOW = 0x7fffffff;

/** A frame as it was read. */
interface Frame {
  type: number;
  flags: number;
  stream: number;
  payload: Buffer;
}

function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** Fields as HPACK literals that are never indexed. */
function block(fields: Record<string, string>): Buffer {
  const text = (word: string) => Buffer.concat([Buffer.from([word.length]), Buffer.from(word)]);
  return Buffer.concat(Object.entries(fields).flatMap(([name, value]) => [Buffer.from([0]), text(name), text(value)]));
}

/** What a side says first: a window that is never used up, so that no time is given to it. */
export function opening(): Buffer {
  const increment = Buffer.alloc(4);
  increment.writeUInt32BE(LARGEST_WINDOW - 65_535);
  return Buffer.concat([frame(SETTINGS, 0, 0, Buffer.alloc(0)), frame(WINDOW_UPDATE, 0, 0, increment)]);
}

/** A head, and a body where there is one. */
export function message(stream: number, fields: Record<string, string>, body?: string): Buffer {
  const head = frame(HEADERS, END_HEADERS | (body === undefined ? END_STREAM : 0), stream, block(fields));
  return body === undefined ? head : Buffer.concat([head, frame(DATA, END_STREAM, stream, Buffer.from(body))]);
}

/** Reads frames; answers settings and pings, and tells of each stream that the other side has ended. */
export function reader(write: (bytes: Buffer) => void, ended: (stream: number, bytes: number) => void): (chunk: Buffer) => void {
  let left = Buffer.alloc(0);
  const sizes = new Map<number, number>();
  return (chunk) => {
    left = Buffer.concat([left, chunk]);
    for (let next = take(left); next; next = take(left)) {
      left = left.subarray(9 + next.payload.length);
      see(next);
    }
  };
  function see({ type, flags, stream, payload }: Frame): void {
    if (type === SETTINGS && !(flags & ACK)) write(frame(SETTINGS, ACK, 0, Buffer.alloc(0)));
    else if (type === PING && !(flags & ACK)) write(frame(PING, ACK, 0, payload));
    else if (type === HEADERS || type === DATA) {
      const size = (sizes.get(stream) ?? 0) + (type === DATA ? payload.length : 0);
      sizes.set(stream, size);
      if (!(flags & END_STREAM)) return;
      sizes.delete(stream);
      ended(stream, size);
    }
  }
}

function take(bytes: Buffer): Frame | undefined {
  if (bytes.length < 9) return undefined;
  const length = bytes.readUIntBE(0, 3);
  if (bytes.length < 9 + length) return undefined;
  const [type, flags, stream] = [bytes.readUInt8(3), bytes.readUInt8(4), bytes.readUInt32BE(5)];
  return { type, flags, stream, payload: bytes.subarray(9, 9 + length) };
}

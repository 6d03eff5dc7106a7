import { type ClientHttp2Session, type ClientHttp2Stream, connect } from "node:http2";
import { connect as dial } from "node:net";
import { create, type DescMessage, fromBinary, type MessageInitShape, type MessageShape, toBinary } from "@bufbuild/protobuf";

const prefixBytes = 5;

/** A connection to a controller, as a sidecar has one. */
export function openConnection(socket: string): ClientHttp2Session {
  const session = connect("http://controller", { createConnection: () => dial(socket) });
  // What ends it is told by its streams.
  session.on("error", () => {});
  return session;
}

/** A bidirectional gRPC stream, without a library's copies and queues, since thousands of them share a process with the measurement. */
export class GrpcStream<Out extends DescMessage, In extends DescMessage> {
  readonly #stream: ClientHttp2Stream;
  readonly #out: Out;
  #rest: Buffer = Buffer.alloc(0);
  bytes = 0;

  constructor(
    session: ClientHttp2Session,
    method: { path: string; out: Out; in: In; credential: string },
    on: { message(message: MessageShape<In>): void; end(): void },
  ) {
    this.#out = method.out;
    this.#stream = session.request({
      ":method": "POST",
      ":path": method.path,
      "content-type": "application/grpc",
      te: "trailers",
      authorization: `Bearer ${method.credential}`,
    });
    this.#stream.on("error", () => {});
    this.#stream.on("close", () => on.end());
    this.#stream.on("data", (chunk: Buffer) => {
      this.bytes += chunk.length;
      for (const message of this.#messages(chunk)) on.message(fromBinary(method.in, message));
    });
  }

  send(message: MessageInitShape<Out>): void {
    const bytes = toBinary(this.#out, create(this.#out, message));
    const framed = Buffer.allocUnsafe(prefixBytes + bytes.length);
    framed[0] = 0;
    framed.writeUInt32BE(bytes.length, 1);
    framed.set(bytes, prefixBytes);
    this.#stream.write(framed);
  }

  /** Says that nothing more will be sent. */
  finish(): void {
    this.#stream.end();
  }

  *#messages(chunk: Buffer): Generator<Buffer> {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    for (;;) {
      if (this.#rest.length < prefixBytes) return;
      const end = prefixBytes + this.#rest.readUInt32BE(1);
      if (this.#rest.length < end) return;
      const message = this.#rest.subarray(prefixBytes, end);
      this.#rest = this.#rest.subarray(end);
      yield message;
    }
  }
}

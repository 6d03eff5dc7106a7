import { constants, type ServerHttp2Stream } from "node:http2";
import { fromBinary } from "@bufbuild/protobuf";
import { weftError } from "@weft/api";
import { type DiscoveryWatchRequest, DiscoveryWatchRequestSchema } from "@weft/api/proto";
import { toConnectError, violation } from "../serve/errors.ts";
import { FrameReader } from "./frames.ts";
import { Rate } from "./rate.ts";
import type { Turns } from "./turns.ts";

/** How long a sidecar may take to read what it was sent, milliseconds: its stream is closed then. */
const patienceMs = 30_000;
/** How long the end of a stream may take, milliseconds. */
const endMs = 5_000;
/** Messages of one sidecar: a name each after a restart, and then few. */
const maxBurst = 30_000;
const maxPerSecond = 1_000;

/** What a stream carries. */
export interface Side {
  receive(message: DiscoveryWatchRequest): void;
  /** The next message, framed; it is asked for only when the sidecar can take it. */
  next(): Buffer | undefined;
  /** When there may be something to say without that anything happens: `performance.now()`. */
  readonly dueAt: number | undefined;
  /** The stream is over; the error is why, if it was not the sidecar that ended it. */
  ended(error: unknown): void;
}

/** A gRPC stream of Discovery.Watch over HTTP/2. */
export class WatchStream {
  readonly #stream: ServerHttp2Stream;
  readonly #side: Side;
  readonly #turns: Turns;
  readonly #frames = new FrameReader();
  readonly #rate = new Rate(maxBurst, maxPerSecond, performance.now());
  readonly #patienceMs: number;
  #patience: NodeJS.Timeout | undefined;
  #due: NodeJS.Timeout | undefined;
  #isOver = false;

  /** Answers the stream's head. `signal` ends it with its reason. */
  constructor(stream: ServerHttp2Stream, side: Side, turns: Turns, signal: AbortSignal, patience = patienceMs) {
    this.#stream = stream;
    this.#side = side;
    this.#turns = turns;
    this.#patienceMs = patience;
    stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
    const aborted = () => this.end(signal.reason);
    signal.addEventListener("abort", aborted, { once: true });
    stream.on("data", (chunk: Buffer) => this.#received(chunk));
    stream.on("end", () => this.end(undefined));
    stream.on("drain", () => this.#drained());
    stream.on("close", () => {
      signal.removeEventListener("abort", aborted);
      this.#finish(undefined);
    });
    if (signal.aborted) aborted();
  }

  /** Says soon what there is to say. */
  wake = (): void => this.#turns.ask(this.#pump);

  /** Ends the stream; with an error the sidecar hears why. */
  end(error: unknown): void {
    if (this.#isOver) return;
    const { code, message } = error === undefined ? { code: 0, message: "" } : grpcStatus(error);
    const stream = this.#stream;
    stream.once("wantTrailers", () =>
      stream.sendTrailers({ "grpc-status": String(code), ...(message === "" ? {} : { "grpc-message": message }) }),
    );
    this.#finish(error);
    stream.end();
    stream.resume();
    // Whoever does not read does not hear why.
    const late = setTimeout(() => stream.close(constants.NGHTTP2_CANCEL), endMs).unref();
    stream.once("close", () => clearTimeout(late));
  }

  #finish(error: unknown): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#patience);
    clearTimeout(this.#due);
    this.#side.ended(error);
  }

  #received(chunk: Buffer): void {
    if (this.#isOver) return;
    try {
      for (const message of this.#frames.push(chunk)) {
        if (!this.#rate.take(performance.now()))
          throw weftError("WEFT-C-TOO-MANY", `The sidecar sends over ${maxPerSecond} messages a second.`);
        this.#side.receive(parsed(message));
      }
    } catch (error) {
      this.end(error);
    }
  }

  #drained(): void {
    clearTimeout(this.#patience);
    this.#patience = undefined;
    this.wake();
  }

  readonly #pump = (): void => {
    clearTimeout(this.#due);
    try {
      while (!this.#isOver && !this.#stream.writableNeedDrain) {
        const frame = this.#side.next();
        if (frame === undefined) {
          this.#wait();
          return;
        }
        this.#stream.write(frame);
      }
    } catch (error) {
      this.end(error);
    }
    if (this.#isOver) return;
    this.#patience ??= setTimeout(() => this.#lost(), this.#patienceMs).unref();
  };

  #wait(): void {
    const { dueAt } = this.#side;
    if (dueAt !== undefined) this.#due = setTimeout(this.wake, Math.ceil(dueAt - performance.now()) + 1).unref();
  }

  #lost(): void {
    this.#finish(weftError("WEFT-C-STREAM-VIOLATION", `The sidecar has not read what it was sent for ${this.#patienceMs / 1_000} s.`));
    this.#stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
  }
}

function parsed(bytes: Buffer): DiscoveryWatchRequest {
  try {
    return fromBinary(DiscoveryWatchRequestSchema, bytes);
  } catch {
    throw violation("A message cannot be read.");
  }
}

/** Ends a stream that is not served, before its head was answered. */
export function refuse(stream: ServerHttp2Stream, error: unknown): void {
  const { code, message } = grpcStatus(error);
  const head = { ":status": 200, "content-type": "application/grpc", "grpc-status": String(code), "grpc-message": message };
  stream.respond(head, { endStream: true });
  stream.close(constants.NGHTTP2_NO_ERROR);
}

/** An error as gRPC says it: what is not printable ASCII is percent-encoded. */
function grpcStatus(error: unknown): { code: number; message: string } {
  const { code, rawMessage } = toConnectError(error);
  const bytes = Buffer.from(rawMessage, "utf8");
  const message = [...bytes].map((byte) => (byte >= 0x20 && byte <= 0x7e && byte !== 0x25 ? String.fromCharCode(byte) : escaped(byte)));
  return { code, message: message.join("") };
}

const escaped = (byte: number) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;

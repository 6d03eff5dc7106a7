import assert from "node:assert/strict";
import { once } from "node:events";
import { type ClientHttp2Stream, connect, createServer, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { toBinary } from "@bufbuild/protobuf";
import { DiscoveryWatchRequestSchema } from "@weft/api/proto";
import { framed } from "../translate/frame.ts";
import { type Side, WatchStream } from "./stream.ts";
import { request, resolve } from "./testing/fake-proxy.ts";
import { Turns } from "./turns.ts";

interface Watched {
  watch: WatchStream;
  received: number;
  asked: number;
  error: unknown;
  /** Resolves when the side heard of the end. */
  over: Promise<void>;
}

/** A server of which each stream says what `next` gives, and a client's connection to it. */
async function pair(t: TestContext, next: () => Buffer | undefined, patience?: number) {
  const turns = new Turns();
  const opened: Watched[] = [];
  const server = createServer();
  server.on("stream", (stream: ServerHttp2Stream) => {
    stream.on("error", () => {});
    const { promise: over, resolve: end } = Promise.withResolvers<void>();
    const watched = { received: 0, asked: 0, error: undefined as unknown, over } as Watched;
    const side: Side = {
      receive: () => {
        watched.received += 1;
      },
      next: () => {
        watched.asked += 1;
        return next();
      },
      dueAt: undefined,
      ended: (error) => {
        watched.error = error;
        end();
      },
    };
    watched.watch = new WatchStream(stream, side, turns, new AbortController().signal, patience);
    opened.push(watched);
    watched.watch.wake();
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const session = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  t.after(() => {
    session.destroy();
    server.close();
  });
  const open = async (): Promise<{ stream: ClientHttp2Stream; watched: Watched; trailers: Promise<Record<string, unknown>> }> => {
    const stream = session.request({ ":method": "POST", ":path": "/weft.v1.Discovery/Watch" }, { endStream: false });
    stream.on("error", () => {});
    const trailers = new Promise<Record<string, unknown>>((found) => stream.on("trailers", found));
    await once(stream, "response");
    return { stream, watched: opened.at(-1) as Watched, trailers };
  };
  return { open };
}

const hello = framed(toBinary(DiscoveryWatchRequestSchema, request({ case: "hello", value: {} })));
const name = framed(toBinary(DiscoveryWatchRequestSchema, request(resolve("users"))));

test("garbage ends its stream with the reason, and no other of the same connection", async (t) => {
  const { open } = await pair(t, () => undefined);
  const good = await open();
  for (const [bytes, message] of [
    [framed(Buffer.from("not a message at all")), /cannot%20be%20read|cannot be read/],
    [Buffer.from([1, 0, 0, 0, 3, 1, 2, 3]), /compressed/],
    [Buffer.from([0, 0xff, 0xff, 0xff, 0xff]), /4294967295 bytes/],
  ] as const) {
    const bad = await open();
    bad.stream.resume();
    bad.stream.write(bytes);
    const trailers = await bad.trailers;
    assert.equal(trailers["grpc-status"], "3");
    assert.match(String(trailers["grpc-message"]), message);
    assert.match(String(trailers["grpc-message"]), /WEFT-C-STREAM-VIOLATION/);
  }
  good.stream.resume();
  good.stream.write(hello);
  good.stream.end();
  assert.equal((await good.trailers)["grpc-status"], "0");
  assert.deepEqual([good.watched.received, good.watched.error], [1, undefined]);
});

test("a flood of messages ends its stream", async (t) => {
  const { open } = await pair(t, () => undefined);
  const { stream, trailers, watched } = await open();
  stream.resume();
  const flood = Buffer.concat(Array.from({ length: 1_000 }, () => name));
  for (let sent = 0; sent < 60; sent += 1) stream.write(flood);
  assert.equal((await trailers)["grpc-status"], "8");
  assert.match(String((watched.error as Error).message), /1000 messages a second/);
  assert.ok(watched.received < 60_000, `${watched.received} messages were taken`);
});

test("a reader that does not read is asked for nothing more, holds one message, and loses its stream", async (t) => {
  const message = Buffer.alloc(100_000);
  const { open } = await pair(t, () => message, 200);
  const { stream, watched } = await open();
  stream.pause();
  await watched.over;
  assert.ok(watched.asked <= 3, `it was given ${watched.asked} messages`);
  assert.match(String((watched.error as Error).message), /not read what it was sent for 0.2 s/);
  stream.resume();
  await new Promise<void>((closed) => stream.on("close", () => closed()));
});

test("a reader that is slow gets everything in order, however large", async (t) => {
  let left = 50;
  const { open } = await pair(t, () => {
    left -= 1;
    return left < 0 ? undefined : framed(Buffer.alloc(50_000, left));
  });
  const { stream } = await open();
  let bytes = 0;
  for await (const chunk of stream) {
    bytes += (chunk as Buffer).length;
    if (bytes === 50 * 50_005) break;
  }
  assert.equal(bytes, 50 * 50_005);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { Mesh } from "@weft/testkit";
import { fixture } from "./fixtures.ts";

// Streams that are silent for long are not cut. That no timer of the relays concerns them is shown in virtual time by proxy/tests/relay/silence.rs; here whole sidecars
// carry them. Short form: silences longer than the limit of a minute that idle pooled connections have. Long form: a message a minute for
// WEFT_LONG_MINUTES, 15 unless told.

const [seconds, messages] = process.env.WEFT_LONG ? [60, Number(process.env.WEFT_LONG_MINUTES ?? 15)] : [70, 1];

test(`a WebSocket, server-sent events, a gRPC stream and bytes live on, with a message every ${seconds} s`, {
  timeout: (seconds * messages + 60) * 1000,
}, async () => {
  await using mesh = await Mesh.start();
  const ports = [8000, 8001, 8002].flatMap((port) => ["--port", String(port)]);
  await mesh.run("long", fixture("long-streams", "serve", 8000), { options: ports });
  const { stdout, stderr } = await mesh.call("listener", fixture("long-streams", "call", "long", 8000, seconds, messages), {
    timeoutMs: (seconds * messages + 40) * 1000,
  });
  const heard = { messages };
  assert.deepEqual(JSON.parse(stdout || "{}"), { webSocket: heard, events: heard, grpc: heard, bytes: heard }, stderr);
});

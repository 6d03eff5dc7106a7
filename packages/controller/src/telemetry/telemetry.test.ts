import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { Worker } from "node:worker_threads";
import { create, toBinary } from "@bufbuild/protobuf";
import { Direction, Protocol, ReportSchema } from "@weft/api/proto";
import pino from "pino";
import { eventually } from "../testing/controllers.ts";
import { histogramOf, reportOf } from "../testing/reports.ts";
import type { By } from "./stat.ts";
import { Telemetry } from "./telemetry.ts";

const web = { id: "w-1", service: "web", namespace: "default" };
const asked = () => ({ window: 60, nowMs: Date.now() });

function telemetryOf(t: TestContext, start?: () => Worker): Telemetry {
  const telemetry = new Telemetry(pino({ level: "silent" }), start);
  t.after(() => telemetry.close());
  return telemetry;
}

/** A report of `series` series, each with one request, over the last `spanMs`. */
function encoded(sequence: number, series = 1, spanMs = 1000): Uint8Array {
  const now = Date.now();
  const requests = Array.from({ length: series }, (_, index) => ({
    direction: Direction.OUTBOUND,
    peer: { name: `s${index}.default` },
    port: 80,
    protocol: Protocol.HTTP1,
    statusClass: 2,
    requests: 1n,
    latency: histogramOf([2000]),
  }));
  const span = { startMs: BigInt(now - spanMs), endMs: BigInt(now) };
  const proxy = { residentBytes: 5_000_000n };
  return toBinary(ReportSchema, create(ReportSchema, reportOf({ incarnation: 7n, sequence: BigInt(sequence), ...span, requests, proxy })));
}

async function requestsOf(telemetry: Telemetry): Promise<number | undefined> {
  return (await telemetry.stat("service", asked())).rows[0]?.totals.requests;
}

test("a question sees every report that was taken in before it, and a repeated one once", async (t) => {
  const telemetry = telemetryOf(t);
  const report = encoded(1);
  const [taken, , counted] = await Promise.all([telemetry.take(web, report), telemetry.take(web, report), requestsOf(telemetry)]);
  assert.deepEqual([taken.sequence, counted], [1n, 1]);
  assert.ok(Math.abs(taken.endMs - Date.now()) < 60_000);
  assert.equal(telemetry.sidecar("w-1")?.residentBytes, 5_000_000);
  assert.equal((await telemetry.edges(asked())).rows[0]?.to, "s0.default");
  telemetry.forget("w-1");
  assert.equal(telemetry.sidecar("w-1"), null);
});

test("a report that cannot be read is refused, and harms nothing else", async (t) => {
  const telemetry = telemetryOf(t);
  await assert.rejects(telemetry.take(web, Uint8Array.of(0xff, 1, 2)), { code: "WEFT-C-STREAM-VIOLATION" });
  await telemetry.take(web, encoded(1));
  await assert.rejects(telemetry.stat("nonsense" as By, asked()), /is not a function/);
  assert.equal(await requestsOf(telemetry), 1);
});

test("while a large report of twelve hours is taken in, the event loop goes on", async (t) => {
  const telemetry = telemetryOf(t);
  await telemetry.take(web, encoded(1));
  let turns = 0;
  let taken = false;
  const turn = () => {
    turns++;
    if (!taken) setImmediate(turn);
  };
  setImmediate(turn);
  await telemetry.take(web, encoded(2, 2_000, 12 * 3600 * 1000));
  taken = true;
  assert.ok(turns > 50, `${turns} turns`);
});

test("when the thread ends, what waited is told so and counting begins anew", async (t) => {
  const threads: Worker[] = [];
  const telemetry = telemetryOf(t, () => {
    const thread = new Worker(new URL("./worker.ts", import.meta.url), { execArgv: [] });
    threads.push(thread);
    return thread;
  });
  await telemetry.take(web, encoded(1));
  const cut = assert.rejects(telemetry.take(web, encoded(2, 2_000, 12 * 3600 * 1000)), { code: "WEFT-C-TELEMETRY-FAILED" });
  await threads[0]?.terminate();
  await cut;
  assert.equal(telemetry.sidecar("w-1"), null);
  await assert.rejects(telemetry.take(web, encoded(2)), { code: "WEFT-C-TELEMETRY-FAILED" });
  await eventually(() => threads.length === 2, "another thread");
  await telemetry.take(web, encoded(2));
  assert.equal(await requestsOf(telemetry), 1);
});

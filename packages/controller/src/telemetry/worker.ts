// The thread that keeps what sidecars counted: a report that is large or late, or a question over twelve hours, holds up nothing else.
import { flushCompileCache } from "node:module";
import { parentPort } from "node:worker_threads";
import { fromBinary } from "@bufbuild/protobuf";
import { type ErrorCode, WeftError, weftError } from "@weft/api/light";
import { type Report, ReportSchema } from "@weft/api/proto";
import { edgesOf } from "./edges.ts";
import { statOf } from "./stat.ts";
import { TelemetryStore } from "./store.ts";
import type { Answers, Question, Reply } from "./telemetry.ts";

// A thread that is terminated writes no cache.
flushCompileCache();

const store = new TelemetryStore();

function answer(question: Question): Answers[keyof Answers] {
  switch (question.ask) {
    case "take": {
      const { reporter, encoded, nowMs } = question;
      const report = decode(encoded);
      store.take(reporter, report, nowMs);
      return { sequence: report.sequence, endMs: Number(report.endMs), stats: store.sidecar(reporter.id) };
    }
    case "stat":
      return statOf(store, question.by, question.asked);
    case "edges":
      return edgesOf(store, question.asked);
    case "trouble":
      return { malformed: store.malformed, refusals: store.refusals() };
    case "forget":
      store.forget(question.workload);
      return undefined;
    case "welcome":
      store.welcome(question.workload);
  }
}

function decode(encoded: Uint8Array): Report {
  try {
    return fromBinary(ReportSchema, encoded);
  } catch (error) {
    throw weftError("WEFT-C-STREAM-VIOLATION", `A report cannot be read: ${(error as Error).message}.`);
  }
}

parentPort?.on("message", ({ id, ...question }: Question & { id: number }) => {
  let reply: Reply;
  try {
    reply = { id, content: answer(question) };
  } catch (error) {
    if (error instanceof WeftError) reply = { id, refusal: { code: error.code as ErrorCode, message: error.message } };
    else reply = { id, fault: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
  parentPort?.postMessage(reply);
});

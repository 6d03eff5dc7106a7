// The thread in which a SQLite store writes: no disk, however slow, holds up the event loop of the controller.
import { parentPort, workerData } from "node:worker_threads";
import { type Failure, failureOf, JournalFile, type Row, type RowBatch } from "./journal.ts";

/** What the thread is asked for. */
export type Question = { ask: "open" | "close" } | { ask: "commit"; batch: RowBatch } | { ask: "backup"; path: string };

/** What it answers; `content` to `open`. */
export interface Reply {
  id: number;
  content?: { rows: Row[]; floor: number } | undefined;
  failure?: Failure;
}

let file: JournalFile | undefined;

function answer(question: Question): Reply["content"] {
  switch (question.ask) {
    case "open":
      file = new JournalFile(workerData as string);
      return file.load();
    case "commit":
      file?.commit(question.batch);
      return;
    case "backup":
      file?.backup(question.path);
      return;
    case "close":
      file?.close();
  }
}

parentPort?.on("message", (question: Question & { id: number }) => {
  let reply: Reply;
  try {
    reply = { id: question.id, content: answer(question) };
  } catch (error) {
    reply = { id: question.id, failure: failureOf(error) };
  }
  parentPort?.postMessage(reply);
});

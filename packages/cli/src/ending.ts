import { constants } from "node:os";

const everyMs = 500;

/**
 * Aborts when the program is asked to end, or nobody reads what it writes any more, or, `withParent`, when the process that started it is gone, however that ended. The
 * reason is the exit code: 128 and the signal's number, or 0.
 */
export function endOnSignals({ withParent = false } = {}): AbortSignal {
  const controller = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    process.on(signal, () => controller.abort(128 + constants.signals[signal]));
  // A terminal or pipe that is gone is no reason to leave anything behind.
  for (const stream of [process.stdout, process.stderr]) stream.removeAllListeners("error").on("error", () => controller.abort(0));
  const parent = process.ppid;
  if (withParent) setInterval(() => process.ppid === parent || controller.abort(0), everyMs).unref();
  return controller.signal;
}

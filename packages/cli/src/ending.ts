import { constants } from "node:os";

/** Aborts when the program is asked to end, or nobody reads what it writes any more. The reason is the exit code: 128 and the signal's number, or 0. */
export function endOnSignals(): AbortSignal {
  const controller = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    process.on(signal, () => controller.abort(128 + constants.signals[signal]));
  // A terminal or pipe that is gone is no reason to leave anything behind.
  for (const stream of [process.stdout, process.stderr]) stream.removeAllListeners("error").on("error", () => controller.abort(0));
  return controller.signal;
}

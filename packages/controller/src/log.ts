import { closeSync, constants, fstatSync, openSync, renameSync, writeSync } from "node:fs";
import { type Logger, pino } from "pino";

/** Size at which the log is put aside as `<path>.1` and begun anew, so that both together stay below twice of it. */
const maxLogBytes = 4 * 1024 * 1024;

/** Lines a second beyond which the rest are left out: what sidecars do wrong must not fill the disk. */
const maxLinesPerSecond = 500;

const errorLevel = 50;

const appending = constants.O_APPEND | constants.O_CREAT | constants.O_WRONLY | constants.O_NOFOLLOW;

/** What was logged as an error since the start. It is known even when the log could not be written. */
export interface LoggedErrors {
  count: number;
  /** The message of the last one. */
  last: string;
}

/** A log of bounded size and rate, and the errors in it. Lines are JSON. A full disk loses lines and nothing else. */
export function openLog(path: string): { log: Logger; errors: LoggedErrors } {
  const errors: LoggedErrors = { count: 0, last: "" };
  const log = pino(
    {
      base: undefined,
      timestamp: pino.stdTimeFunctions.isoTime,
      hooks: {
        logMethod(args, method, level) {
          if (level >= errorLevel)
            Object.assign(errors, { count: errors.count + 1, last: String(args.findLast((arg) => typeof arg === "string")) });
          method.apply(this, args);
        },
      },
    },
    new BoundedFile(path, maxLogBytes, maxLinesPerSecond),
  );
  return { log, errors };
}

/** A file that is put aside as `<path>.1` when it is full, and takes a bounded number of lines a second. */
export class BoundedFile {
  readonly #path: string;
  readonly #max: number;
  readonly #linesPerSecond: number;
  #descriptor: number;
  #size: number;
  #second = 0;
  #lines = 0;

  constructor(path: string, max: number, linesPerSecond: number) {
    this.#path = path;
    this.#max = max;
    this.#linesPerSecond = linesPerSecond;
    this.#descriptor = openSync(path, appending, 0o600);
    this.#size = fstatSync(this.#descriptor).size;
  }

  write(line: string): void {
    const left = this.#budget();
    if (left < 0) return;
    if (left === 0) line += `{"level":40,"msg":"further lines of this second are left out"}\n`;
    try {
      if (this.#size > 0 && this.#size + line.length > this.#max) this.#begin();
      this.#size += writeSync(this.#descriptor, line);
    } catch {
      // Where a log cannot be written there is nobody to tell.
    }
  }

  /** How many more lines this second takes. */
  #budget(): number {
    const second = Math.floor(performance.now() / 1000);
    this.#lines = second === this.#second ? this.#lines + 1 : 1;
    this.#second = second;
    return this.#linesPerSecond - this.#lines;
  }

  #begin(): void {
    renameSync(this.#path, `${this.#path}.1`);
    const full = this.#descriptor;
    this.#descriptor = openSync(this.#path, appending, 0o600);
    this.#size = 0;
    closeSync(full);
  }
}

import { closeSync, fstatSync, openSync, renameSync, writeSync } from "node:fs";
import { type Logger, pino } from "pino";

/** Size at which the log is put aside as `<path>.1` and begun anew, so that both together stay below twice of it. */
const maxLogBytes = 4 * 1024 * 1024;

/** A log of bounded size. Lines are JSON. A full disk loses lines and nothing else. */
export function openLog(path: string): Logger {
  return pino({ base: undefined, timestamp: pino.stdTimeFunctions.isoTime }, new BoundedFile(path, maxLogBytes));
}

/** A file that is put aside as `<path>.1` when it is full. */
export class BoundedFile {
  readonly #path: string;
  readonly #max: number;
  #descriptor: number;
  #size: number;

  constructor(path: string, max: number) {
    this.#path = path;
    this.#max = max;
    this.#descriptor = openSync(path, "a", 0o600);
    this.#size = fstatSync(this.#descriptor).size;
  }

  write(line: string): void {
    try {
      if (this.#size > 0 && this.#size + line.length > this.#max) this.#begin();
      this.#size += writeSync(this.#descriptor, line);
    } catch {
      // Where a log cannot be written there is nobody to tell.
    }
  }

  #begin(): void {
    renameSync(this.#path, `${this.#path}.1`);
    const full = this.#descriptor;
    this.#descriptor = openSync(this.#path, "a", 0o600);
    this.#size = 0;
    closeSync(full);
  }
}

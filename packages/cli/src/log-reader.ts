import { open } from "node:fs/promises";
import { StringDecoder } from "node:string_decoder";

// Enough for the last lines that anybody reads, small enough to read at once.
const tailBytes = 1024 * 1024;

/** Reads a file that grows, whole lines at a time. A file that shrinks is read from its start. */
export class LogReader {
  readonly file: string;
  #position = 0;
  #decoder = new StringDecoder("utf8");
  #partial = "";

  constructor(file: string) {
    this.file = file;
  }

  /** The last `count` lines, of at most 1 MiB. */
  async last(count: number): Promise<string[]> {
    const lines = await this.#read((size) => Math.max(0, size - tailBytes));
    return lines.slice(-count);
  }

  /** The lines written since. */
  more(): Promise<string[]> {
    return this.#read((size) => (size < this.#position ? 0 : this.#position));
  }

  async #read(begin: (size: number) => number): Promise<string[]> {
    const handle = await open(this.file, "r").catch(() => undefined);
    if (handle === undefined) return [];
    try {
      const { size } = await handle.stat();
      const start = begin(size);
      const length = Math.min(size - start, tailBytes);
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, start);
      this.#position = start + bytesRead;
      const lines = (this.#partial + this.#decoder.write(buffer.subarray(0, bytesRead))).split("\n");
      this.#partial = lines.pop() ?? "";
      return lines;
    } finally {
      await handle.close();
    }
  }
}

const levels: Record<number, string> = { 10: "trace", 20: "debug", 30: "info", 40: "warn", 50: "error", 60: "fatal" };

/** A line of the controller's JSON log for people: time, level, message, fields. Other lines are as they were. */
export function readableLine(line: string): string {
  if (!line.startsWith("{")) return line;
  try {
    const { level, time, msg, pid: _pid, hostname: _hostname, name: _name, ...fields } = JSON.parse(line) as Record<string, unknown>;
    const when = typeof time === "number" ? new Date(time).toISOString() : String(time ?? "");
    const rest = Object.entries(fields).map(([key, value]) => `${key}=${typeof value === "string" ? value : JSON.stringify(value)}`);
    return [when, levels[Number(level)] ?? String(level ?? ""), String(msg ?? ""), ...rest].filter(Boolean).join("  ");
  } catch {
    return line;
  }
}

import type { WeftError } from "@weft/api/light";
import { describe } from "./errors.ts";
import { escapeControls } from "./terminal.ts";

/** How data is written to standard output. */
export const formats = ["table", "json", "yaml"] as const;
export type Format = (typeof formats)[number];

/** Writes data: for machines as it is, for people by `lines`. */
export async function print(format: Format, data: unknown, lines: () => string[]): Promise<void> {
  if (format === "json") return write(`${JSON.stringify(data, undefined, 2)}\n`);
  if (format === "yaml") {
    const { stringify } = await import("yaml");
    return write(stringify(data));
  }
  return write(lines().map((line) => `${line}\n`).join(""));
}

/** A message for people, beside the data. */
export function say(text: string): void {
  process.stderr.write(`${escapeLines(text)}\n`);
}

/** An error for people. */
export function complain(error: unknown): void {
  say(describe(error as WeftError));
}

function escapeLines(text: string): string {
  return text.split("\n").map(escapeControls).join("\n");
}

function write(text: string): Promise<void> {
  return new Promise((resolve, reject) => process.stdout.write(text, (error) => (error ? reject(error) : resolve())));
}

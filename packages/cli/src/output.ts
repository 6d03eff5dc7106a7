import type { WeftError } from "@weft/api/light";
import { describe } from "./errors.ts";
import { escapeControls, escapeQuoted, isUnsafe } from "./terminal.ts";

/** How data is written to standard output. */
export const formats = ["table", "json", "yaml"] as const;
/** One of `formats`. */
export type Format = (typeof formats)[number];

/** Writes data: for machines as it is, for people by `lines`. */
export async function print(format: Format, data: unknown, lines: () => string[]): Promise<void> {
  if (format === "json") return write(json(data));
  if (format === "yaml") return write(await yaml(data));
  return write(
    lines()
      .map((line) => `${line}\n`)
      .join(""),
  );
}

/** Data as indented JSON that is safe on a terminal. */
export function json(data: unknown): string {
  return `${escapeQuoted(JSON.stringify(data, undefined, 2))}\n`;
}

/** Data as YAML that is safe on a terminal. */
export async function yaml(data: unknown): Promise<string> {
  const { Document, visit } = await import("yaml");
  const document = new Document(data);
  visit(document, {
    Scalar: (_key, node) => {
      // Only within double quotes can characters be escaped.
      if (typeof node.value === "string" && isUnsafe(node.value)) node.type = "QUOTE_DOUBLE";
    },
  });
  return escapeQuoted(document.toString({ lineWidth: 0 }));
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

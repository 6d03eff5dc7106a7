import { stripVTControlCharacters, styleText } from "node:util";

/** A colour that carries meaning, never the only sign of it. */
export type Colour = "green" | "red" | "yellow" | "bold" | "dim";

// Controls, invisible and reordering marks, line separators: none of them may reach a terminal from data.
const unsafe = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/** Shows control characters as `\xNN` or `\u{NNNN}`, so that data can neither move the cursor nor disguise itself. */
export function escapeControls(text: string): string {
  return text.replace(unsafe, (character) => {
    const code = (character.codePointAt(0) ?? 0).toString(16);
    return code.length <= 2 ? `\\x${code.padStart(2, "0")}` : `\\u{${code}}`;
  });
}

/** Escapes the same characters as JSON and YAML do inside double quotes. */
export function escapeQuoted(text: string): string {
  return text.replace(unsafe, (character) =>
    character === "\n"
      ? character
      : [...Array(character.length).keys()].map((at) => `\\u${character.charCodeAt(at).toString(16).padStart(4, "0")}`).join(""),
  );
}

/** Whether a text holds something that may not reach a terminal as it is. */
export function isUnsafe(text: string): boolean {
  return text.search(unsafe) >= 0;
}

/** Colours a text if the stream is a terminal that wants colours (NO_COLOR, NODE_DISABLE_COLORS and TERM=dumb are honoured). */
export function colour(style: Colour, text: string, stream: NodeJS.WriteStream = process.stdout): string {
  return styleText(style, text, { stream });
}

/** A column of a table. */
export interface Column<Row> {
  /** Heading, upper case. */
  heading: string;
  /** The cell's text, from data or from the CLI; it is escaped here. */
  cell: (row: Row) => string;
  /** Numbers line up on the right. Default: left. */
  align?: "right";
  /** Colour of a cell. Default: none. */
  colour?: (row: Row) => Colour | undefined;
}

/** Lays rows out under their headings, two spaces between columns, without trailing spaces. One line an element. */
export function table<Row>(columns: Column<Row>[], rows: Row[], paint: typeof colour = colour): string[] {
  const cells = rows.map((row) => columns.map((column) => escapeControls(column.cell(row))));
  const widths = columns.map((column, index) => Math.max(column.heading.length, ...cells.map((line) => line[index]?.length ?? 0)));
  const pad = (text: string, index: number) => {
    const width = widths[index] ?? 0;
    if (columns[index]?.align === "right") return text.padStart(width);
    return index === columns.length - 1 ? text : text.padEnd(width);
  };
  const head = columns.map((column, index) => pad(column.heading, index)).join("  ");
  const body = cells.map((line, number) =>
    line
      .map((text, index) => {
        const row = rows[number];
        const style = row === undefined ? undefined : columns[index]?.colour?.(row);
        return style === undefined ? pad(text, index) : paint(style, pad(text, index));
      })
      .join("  ")
      .trimEnd(),
  );
  return [paint("bold", head.trimEnd()), ...body];
}

/** Cuts a text to so many characters; the last is an ellipsis then. */
export function cut(text: string, width: number): string {
  if (text.length <= width) return text;
  // Half a character is none.
  return `${text.slice(0, Math.max(0, width - 1)).replace(/[\ud800-\udbff]$/, "")}…`;
}

// What colours are made of, between the texts that they colour.
const styles = new RegExp(`(${String.fromCharCode(27)}\\[[0-9;]*m)`);

/** Cuts each line to the terminal's width, so that a redrawn screen never wraps. Colours stay. */
export function fit(lines: string[], width: number): string[] {
  return lines.map((line) => {
    if (stripVTControlCharacters(line).length <= width) return line;
    let room = Math.max(0, width - 1);
    const parts = line.split(styles).map((part, index) => {
      if (index % 2 === 1) return part;
      if (room < 0) return "";
      const shown = part.slice(0, room);
      const isLast = shown.length < part.length;
      room = isLast ? -1 : room - shown.length;
      return isLast ? `${shown.replace(/[\ud800-\udbff]$/, "")}…` : shown;
    });
    return parts.join("");
  });
}

/** Says on standard error what takes long, once it has taken a second. Call the answer to end it. */
export function progress(text: string): () => void {
  const { stderr } = process;
  let shown = false;
  const started = Date.now();
  const timer = setInterval(() => {
    const seconds = Math.round((Date.now() - started) / 1000);
    if (stderr.isTTY) stderr.write(`\r${text} (${seconds} s)\x1b[K`);
    else if (!shown) stderr.write(`${text}\n`);
    shown = true;
  }, 1000);
  timer.unref();
  return () => {
    clearInterval(timer);
    if (shown && stderr.isTTY) stderr.write("\r\x1b[K");
  };
}

import { fit } from "./terminal.ts";

// Between these two a terminal that can shows nothing half drawn, and no line wraps whatever is in it.
const begin = "\x1b[?2026h\x1b[?25l\x1b[?7l";
const end = "\x1b[?7h\x1b[?2026l";
const showCursor = "\x1b[?25h";
const clearLine = "\x1b[K";
const clearBelow = "\x1b[J";

/** What is written to. */
export type Terminal = Pick<NodeJS.WriteStream, "write" | "isTTY" | "columns" | "rows">;

/** How a screen is shown. */
export interface ScreenOptions {
  /** Takes the whole terminal, which is given back at the end. Default: draws below what is there, and leaves the last state. */
  full?: boolean;
  /** Elsewhere than on a terminal: milliseconds between two blocks of lines. Default: 0, each is shown. */
  steadyMs?: number;
  stream?: Terminal;
}

/** Shows the newest lines: redrawn in place on a terminal, one block after the other elsewhere. */
export class Screen {
  readonly #stream: Terminal;
  readonly #full: boolean;
  readonly #steadyMs: number;
  #drawn = 0;
  #entered = false;
  #shownAt = Number.NEGATIVE_INFINITY;

  constructor({ full = false, steadyMs = 0, stream = process.stdout }: ScreenOptions = {}) {
    this.#stream = stream;
    this.#full = full;
    this.#steadyMs = steadyMs;
  }

  /** Lines that fit at a time. */
  get height(): number {
    // A terminal that does not say its size says 0.
    return this.#stream.isTTY ? (this.#stream.rows || 25) - 1 : Number.POSITIVE_INFINITY;
  }

  /** Columns that fit. */
  get width(): number {
    return this.#stream.isTTY ? this.#stream.columns || 80 : Number.POSITIVE_INFINITY;
  }

  /** Shows `lines`. `last` shows them in any case. */
  show(lines: string[], last = false): void {
    if (this.#stream.isTTY) this.#draw(fit(lines, this.width).slice(0, this.height));
    else if (last || Date.now() - this.#shownAt >= this.#steadyMs) {
      this.#shownAt = Date.now();
      this.#stream.write(`${lines.join("\n")}\n\n`);
    }
  }

  /** Gives the terminal back as it was. */
  close(): void {
    if (!this.#entered) return;
    this.#entered = false;
    this.#stream.write(`${showCursor}${this.#full ? "\x1b[?1049l" : ""}`);
  }

  #draw(lines: string[]): void {
    const enter = this.#entered || !this.#full ? "" : "\x1b[?1049h";
    const back = this.#full ? "\x1b[H" : this.#drawn > 0 ? `\x1b[${this.#drawn}F` : "";
    this.#entered = true;
    this.#drawn = lines.length;
    // Lines are written over, not cleared first: clearing is what flickers.
    this.#stream.write(`${enter}${begin}${back}${lines.map((line) => `${line}${clearLine}\n`).join("")}${clearBelow}${end}`);
  }
}

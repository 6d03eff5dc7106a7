import { fit } from "../terminal.ts";

const steadyMs = 5000;

/** Shows the newest lines: redrawn in place on a terminal, and every 5 s elsewhere. */
export class Screen {
  #drawn = 0;
  #shownAt = Number.NEGATIVE_INFINITY;

  /** Shows `lines`. `last` shows them in any case. */
  show(lines: string[], last = false): void {
    const { stdout } = process;
    if (stdout.isTTY) {
      // A terminal that does not say its size says 0.
      const visible = fit(lines, stdout.columns || 80).slice(0, (stdout.rows || 25) - 1);
      const back = this.#drawn > 0 ? `\x1b[${this.#drawn}F\x1b[J` : "";
      this.#drawn = visible.length;
      stdout.write(`${back}${visible.join("\n")}\n`);
    } else if (last || Date.now() - this.#shownAt >= steadyMs) {
      this.#shownAt = Date.now();
      stdout.write(`${lines.join("\n")}\n\n`);
    }
  }
}

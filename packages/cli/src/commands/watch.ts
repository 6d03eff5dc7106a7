import { setTimeout as delay } from "node:timers/promises";
import { endOnSignals } from "../ending.ts";
import { type Format, yaml } from "../output.ts";
import { Screen } from "../screen.ts";
import { escapeQuoted } from "../terminal.ts";

const intervalMs = 1000;

/** Shows what `ask` answers once a second until a signal: in place on a terminal, block after block elsewhere; JSON a line each. Answers the exit code. */
export async function watch<T>(format: Format, ask: () => Promise<T>, lines: (answer: T) => string[]): Promise<number> {
  const ending = endOnSignals();
  const screen = new Screen();
  try {
    while (!ending.aborted) {
      const answer = await ask();
      if (format === "table") screen.show(lines(answer));
      else process.stdout.write(format === "json" ? jsonLine(answer) : `---\n${await yaml(answer)}`);
      await delay(intervalMs, undefined, { signal: ending }).catch(() => undefined);
    }
    return ending.reason as number;
  } finally {
    screen.close();
  }
}

/** Data as one line of JSON that is safe on a terminal. */
export function jsonLine(data: unknown): string {
  return `${escapeQuoted(JSON.stringify(data))}\n`;
}

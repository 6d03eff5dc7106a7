import { ApiClient } from "@weft/api/light";
import { healthColour } from "../health.ts";
import { shortName } from "../names.ts";
import { count, counted, duration, nothing, percent } from "../numbers.ts";
import { yaml } from "../output.ts";
import { Screen } from "../screen.ts";
import { type Column, colour, table } from "../terminal.ts";
import { Ranking, type TopRow } from "../top/ranking.ts";
import { endingOf, sayDropped, type TapOptions, tapLines, tapQuery } from "./tap.ts";
import { jsonLine } from "./watch.ts";

// Lines above and below the rows.
const frame = 5;

/** What follows `weft top` on the command line. */
export interface TopOptions extends TapOptions {
  /** Most rows. Default: what fits the terminal, else 20. */
  rows?: number;
  /** Seconds between two tables. */
  interval: number;
  /** End after so many seconds. */
  duration?: number;
}

/** What was seen so far. */
interface Seen {
  /** ISO 8601. */
  since: string;
  requests: number;
  /** Matched, and not looked at. */
  dropped: number;
  rows: TopRow[];
  other: TopRow | undefined;
}

/** Shows which requests come most often, until a signal. Answers the exit code. */
export async function top(name: string | undefined, options: TopOptions): Promise<number> {
  const client = new ApiClient(options.state);
  const query = await tapQuery(client, name, options);
  const ending = endingOf(options.duration);
  const screen = new Screen({ full: true });
  const ranking = new Ranking();
  const since = new Date().toISOString();
  let [requests, dropped] = [0, 0];
  let shown = -1;
  const show = (on: Screen) => {
    shown = requests + dropped;
    const rows = options.rows ?? (Number.isFinite(screen.height) ? Math.max(1, screen.height - frame) : 20);
    const seen: Seen = { since, requests, dropped, ...ranking.top(rows) };
    if (options.output === "table") on.show(topLines(seen, name));
    else if (options.output === "json") process.stdout.write(jsonLine(seen));
    else void yaml(seen).then((text) => process.stdout.write(`---\n${text}`));
  };
  const timer = setInterval(() => show(screen), options.interval * 1000);
  try {
    if (process.stdout.isTTY) show(screen);
    for await (const line of tapLines(client, query, ending)) {
      if (line.kind === "request") {
        ranking.add(line);
        requests++;
      } else if (line.kind === "dropped") {
        dropped += line.requests;
        if (line.error !== "") sayDropped({ ...line, requests: 0 });
      }
    }
    // What was seen stays, also on a terminal that is given back.
    screen.close();
    const isTaken = process.stdout.isTTY && options.output === "table";
    if (ending.reason === 0 && (isTaken || shown !== requests + dropped)) {
      const last = new Screen();
      show(last);
      last.close();
    }
    return ending.reason as number;
  } finally {
    clearInterval(timer);
    screen.close();
  }
}

/** The table, with what it is of above it. */
export function topLines({ requests, dropped, rows, other }: Omit<Seen, "since">, name?: string, paint: typeof colour = colour): string[] {
  const of = name === undefined ? "all services" : name;
  const missed = dropped === 0 ? "" : `, ${count(dropped)} more not looked at (--max-rps)`;
  const shown = other === undefined ? rows : [...rows, other];
  return [
    `${paint("bold", `weft top: ${of}`)}, ${counted(requests, "request")}${missed}. Ctrl-C ends it.`,
    "",
    ...table(columns, shown, paint),
  ];
}

const columns: Column<TopRow>[] = [
  { heading: "COUNT", cell: (row) => count(row.count), align: "right" },
  { heading: "BEST", cell: ({ bestMs }) => duration(bestMs), align: "right" },
  { heading: "WORST", cell: ({ worstMs }) => duration(worstMs), align: "right" },
  { heading: "LAST", cell: ({ lastMs }) => duration(lastMs), align: "right" },
  {
    heading: "SUCCESS",
    cell: (row) => percent(1 - row.failures / row.count),
    align: "right",
    colour: (row) => healthColour(1 - row.failures / row.count),
  },
  { heading: "FROM", cell: ({ from }) => shortName(from) || nothing },
  { heading: "TO", cell: ({ to, port }) => (to === "" ? nothing : `${shortName(to)}:${port}`) },
  { heading: "METHOD", cell: ({ method }) => method || nothing },
  { heading: "PATH", cell: ({ path, method }) => (method === "" && path === "" ? "connection" : path) },
];

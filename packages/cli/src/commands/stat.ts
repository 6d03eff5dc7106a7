import { ApiClient, defaultWindow, type EdgeStat, type Grouping, type Stat, type StatQuery, type StatRow } from "@weft/api/light";
import { healthColour } from "../health.ts";
import { shownName } from "../names.ts";
import { count, duration, nothing, percent, rate, windowText } from "../numbers.ts";
import { type Format, print, say } from "../output.ts";
import { findServiceName, findTarget, knownNames } from "../targets.ts";
import { type Column, colour, table } from "../terminal.ts";
import { edgeColumns } from "./edges.ts";
import { watch } from "./watch.ts";

/** What follows `weft stat` on the command line. */
export interface StatOptions {
  state: string;
  output: Format;
  /** Seconds; 60 unless told. */
  window?: number;
  by?: Grouping;
  from?: string;
  to?: string;
  watch: boolean;
}

/** Shows what the sidecars counted, a line a service, workload, route or edge. Answers the exit code. */
export async function stat(name: string | undefined, options: StatOptions): Promise<number> {
  const client = new ApiClient(options.state);
  const query = await queryFor(client, name, options);
  const ask = (): Promise<Stat | EdgeStat> =>
    query.by === "edge" ? client.edgeStat(query) : client.stat({ ...query, by: query.by ?? "service" });
  const lines = (answer: Stat | EdgeStat) => statLines(answer, options.to !== undefined && options.from === undefined);
  if (options.watch) return watch(options.output, ask, lines);
  const answer = await ask();
  await print(options.output, answer, () => lines(answer));
  if (options.output !== "table") return 0;
  if (lines(answer).length < 2) say(nothingIn(answer));
  const note = options.window === undefined ? undefined : youngerThan(answer, Date.now());
  if (note !== undefined) say(note);
  return 0;
}

/** Says that there is nothing in the table, and where the calls are that a caller made. */
function nothingIn(answer: Stat | EdgeStat): string {
  const time = windowText(answer.window);
  const caller = answer.by === "edge" ? undefined : answer.rows.find(({ direction, requests }) => direction === "outbound" && requests > 0);
  if (caller === undefined) return `No calls in the last ${time}.`;
  const name = shownName({ name: caller.service, namespace: caller.namespace });
  return `No calls were answered in the last ${time}; those that ${name} made: \`weft stat --from ${name}\`.`;
}

async function queryFor(
  client: ApiClient,
  name: string | undefined,
  { window = defaultWindow, by, from, to }: StatOptions,
): Promise<StatQuery> {
  const isNamed = [name, from, to].some((each) => each !== undefined);
  const known = isNamed ? await knownNames(client, { counted: true }) : { services: [], workloads: new Map() };
  const target = name === undefined ? undefined : findTarget(name, known);
  return {
    window,
    by: by ?? (target?.workload === undefined ? "service" : "workload"),
    ...target,
    ...(from === undefined ? {} : { from: findServiceName(from, known) }),
    ...(to === undefined ? {} : { to: findServiceName(to, known) }),
  };
}

/** The table of an answer: the calls that each row answered, or, for `byCaller`, that it made. */
export function statLines(stat: Stat | EdgeStat, byCaller = false, paint: typeof colour = colour): string[] {
  if (stat.by === "edge")
    return table(
      edgeColumns,
      stat.rows.filter(({ refusals }) => refusals.length === 0),
      paint,
    );
  // Only callers' sidecars know of routes.
  const direction = byCaller || stat.by === "route" ? "outbound" : "inbound";
  return table(
    [...leading[stat.by], ...numbers],
    stat.rows.filter((row) => row.direction === direction),
    paint,
  );
}

/** Says since when the numbers are, when that is later than the window's begin. */
export function youngerThan({ window, since }: Pick<Stat, "window" | "since">, nowMs: number): string | undefined {
  const begin = Date.parse(since);
  // Slots are whole: some of the youngest may be missing.
  if (!(begin > nowMs - window * 1000 + 60_000 + 2000) && !(window <= 600 && begin > nowMs - window * 1000 + 2000)) return undefined;
  return `The numbers are those since ${since.replace(/\.\d+Z$/, "Z")}, ${windowText(Math.round((nowMs - begin) / 1000))} ago.`;
}

const name: Column<StatRow> = { heading: "NAME", cell: ({ service, namespace }) => shownName({ name: service, namespace }) };

const leading: Record<Stat["by"], Column<StatRow>[]> = {
  service: [name],
  workload: [name, { heading: "WORKLOAD", cell: ({ workload }) => workload ?? nothing }],
  route: [
    { ...name, heading: "CALLER" },
    { heading: "ROUTE", cell: ({ route }) => route ?? nothing },
    { heading: "METHOD", cell: ({ method }) => method ?? nothing },
  ],
};

const numbers: Column<StatRow>[] = [
  {
    heading: "SUCCESS",
    cell: ({ successRate }) => percent(successRate),
    align: "right",
    colour: ({ successRate }) => healthColour(successRate),
  },
  { heading: "RPS", cell: ({ rps }) => rate(rps), align: "right" },
  { heading: "P50", cell: ({ latencyMs }) => duration(latencyMs.p50), align: "right" },
  { heading: "P95", cell: ({ latencyMs }) => duration(latencyMs.p95), align: "right" },
  { heading: "P99", cell: ({ latencyMs }) => duration(latencyMs.p99), align: "right" },
  { heading: "REQUESTS", cell: ({ requests }) => count(requests), align: "right" },
  { heading: "CONNS", cell: ({ connections }) => count(connections.open), align: "right" },
];

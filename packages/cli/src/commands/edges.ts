import { ApiClient, type Edge, isClear } from "@weft/api/light";
import { healthColour } from "../health.ts";
import { shortName } from "../names.ts";
import { count, duration, nothing, percent, rate, windowText } from "../numbers.ts";
import { type Format, print, say } from "../output.ts";
import { type Column, colour, escapeControls, table } from "../terminal.ts";

/** Shows who called whom in the last `window` seconds, by which identities, and who was refused. */
export async function edges(options: { state: string; window: number; output: Format }): Promise<void> {
  const answer = await new ApiClient(options.state).edges(options.window);
  await print(options.output, answer, () => edgeLines(answer));
  if (options.output === "table" && answer.length === 0) say(`No calls in the last ${windowText(options.window)}.`);
}

/** The table of edges, then the refusals with their reasons. */
export function edgeLines(edges: Edge[], paint: typeof colour = colour): string[] {
  const refused = edges.flatMap(({ from, to, refusals }) => refusals.map((refusal) => ({ from, to, ...refusal })));
  const lines = table(
    columns,
    edges.filter((edge) => edge.from !== "" || edge.refusals.length === 0),
    paint,
  );
  if (refused.length === 0) return lines;
  return [
    ...lines,
    "",
    "Refused:",
    ...refused.map(({ to, address, identity, count: times, reason, detail }) =>
      escapeControls(
        `  ${count(times)} × from ${address}${identity ? ` claiming ${identity}` : ""} to ${shortName(to)}: ${detail || "no detail"} (${reason})`,
      ),
    ),
  ];
}

const who: Column<Edge>[] = [
  { heading: "FROM", cell: ({ from }) => (from ? shortName(from) : "unknown") },
  { heading: "TO", cell: ({ to, port }) => `${shortName(to)}:${port}` },
  { heading: "PROTOCOL", cell: ({ protocol }) => protocol },
  {
    heading: "SECURED",
    cell: (edge) => (edge.secured ? "mTLS" : isClear(edge) ? "no" : nothing),
    colour: (edge) => (edge.secured ? "green" : isClear(edge) ? "yellow" : undefined),
  },
  {
    heading: "SUCCESS",
    cell: ({ successRate }) => percent(successRate),
    align: "right",
    colour: ({ successRate }) => healthColour(successRate),
  },
  { heading: "RPS", cell: ({ rps }) => rate(rps), align: "right" },
];

const p99: Column<Edge> = { heading: "P99", cell: ({ latencyMs }) => duration(latencyMs.p99), align: "right" };

/** An edge with all its numbers. */
export const edgeColumns: Column<Edge>[] = [
  ...who,
  { heading: "P50", cell: ({ latencyMs }) => duration(latencyMs.p50), align: "right" },
  { heading: "P95", cell: ({ latencyMs }) => duration(latencyMs.p95), align: "right" },
  p99,
  { heading: "REQUESTS", cell: ({ requests }) => count(requests), align: "right" },
  { heading: "CONNS", cell: ({ connections }) => count(connections.open), align: "right" },
];

const columns: Column<Edge>[] = [
  ...who,
  p99,
  { heading: "IDENTITIES", cell: ({ fromIdentity, toIdentity }) => `${fromIdentity || nothing} -> ${toIdentity || nothing}` },
];

import { ApiClient, type Stat, type StatRow } from "@weft/api/light";
import { findService, shownName } from "../names.ts";
import { count, duration, percent, rate } from "../numbers.ts";
import { type Format, print, say } from "../output.ts";
import { type Column, colour, table } from "../terminal.ts";

/** Shows what the sidecars counted in the last `window` seconds, a line a service. */
export async function stat(service: string | undefined, options: { state: string; window: number; output: Format }): Promise<void> {
  const client = new ApiClient(options.state);
  const [all, services] = await Promise.all([client.stat(options.window), service === undefined ? [] : client.services()]);
  const answer = service === undefined ? all : only(all, findService(service, services));
  await print(options.output, answer, () => statLines(answer));
  if (options.output === "table" && !answer.rows.some(isCalled)) say(`No calls in the last ${options.window} s.`);
}

/** The table of services that were called. */
export function statLines(stat: Stat, paint: typeof colour = colour): string[] {
  return table(columns, stat.rows.filter(isCalled), paint);
}

function isCalled({ direction }: StatRow): boolean {
  return direction === "inbound";
}

function only(stat: Stat, wanted: { name: string; namespace: string }): Stat {
  return { ...stat, rows: stat.rows.filter(({ service, namespace }) => service === wanted.name && namespace === wanted.namespace) };
}

const columns: Column<StatRow>[] = [
  { heading: "NAME", cell: ({ service, namespace }) => shownName({ name: service, namespace }) },
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

/** Green from 99.9 %, yellow from 95 %, red below. */
export function healthColour(successRate: number | null): "green" | "yellow" | "red" | undefined {
  if (successRate === null) return undefined;
  if (successRate >= 0.999) return "green";
  return successRate >= 0.95 ? "yellow" : "red";
}

import { readFileSync } from "node:fs";

/** One line of a Prometheus page. */
export interface Sample {
  name: string;
  labels: Record<string, string>;
  value: number;
}

/** Reads the Prometheus text format. */
export function parseMetrics(page: string): Sample[] {
  return page
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => {
      const match = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line);
      if (!match) throw new Error(`no metric: ${line}`);
      const [, name = "", labels = "", value] = match;
      const pairs = [...labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, key, text]) => [key, unescapeLabel(text ?? "")]);
      return { name, labels: Object.fromEntries(pairs), value: Number(value) };
    });
}

const unescapeLabel = (text: string) => text.replace(/\\(.)/g, (_, character: string) => (character === "n" ? "\n" : character));

/** The metrics of the sidecar whose admin listener is at `admin` (host and port). */
export async function metricsOf(admin: string): Promise<Sample[]> {
  return parseMetrics(await (await fetch(`http://${admin}/metrics`)).text());
}

/** Sum of the samples called `name` that have all of `labels`. */
export function total(samples: Sample[], name: string, labels: Record<string, string> = {}): number {
  return samples
    .filter((sample) => sample.name === name && Object.entries(labels).every(([key, value]) => sample.labels[key] === value))
    .reduce((sum, { value }) => sum + value, 0);
}

/** The value that `share` (0 to 1) of ascending values do not exceed: nearest rank. */
export function percentile(ascending: number[], share: number): number {
  const value = ascending[Math.max(0, Math.ceil(share * ascending.length) - 1)];
  if (value === undefined) throw new Error("no values");
  return value;
}

/** Resident and anonymous memory of a process, bytes. */
export function memoryOf(pid: number): { resident: number; anonymous: number } {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  const bytes = (field: string) => Number(new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(rollup)?.[1] ?? Number.NaN) * 1024;
  return { resident: bytes("Rss"), anonymous: bytes("Anonymous") };
}

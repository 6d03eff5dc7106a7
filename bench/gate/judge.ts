// What a request cost, beside what it cost when the baseline was recorded.

/** The protocols that are counted. */
export const protocols = ["http1", "http2"] as const;
export type Protocol = (typeof protocols)[number];

/** The sidecar of the calling program, and that of the called one. */
export const sides = ["caller", "called"] as const;
export type Side = (typeof sides)[number];

/** What is counted for each request. */
export const kinds = ["instructions", "system calls", "allocations"] as const;
export type Kind = (typeof kinds)[number];

/** A figure of both sidecars. */
export type BySide = Record<Side, number>;

/** What the binary was made with, and for. */
export interface Made {
  machine: string;
  rustc: string;
  glibc: string;
}

/** What was measured: a request's costs, and the bytes of resident anonymous memory of a sidecar that has carried one request and keeps its connection. */
export interface Measured {
  made: Made;
  requests: Record<Protocol, Record<Kind, BySide>>;
  idleMemory: number;
}

/** More than this over the baseline fails. */
export const BOUND = 0.03;
/** The bound of instructions where another compiler or C library made them: either alone moves them by a few per cent. */
export const OTHER_COMPILER_BOUND = 0.1;

/** What is said of it. */
export interface Judgement {
  /** A row for each figure. */
  rows: { figure: string; baseline: number; now: number; change: string; bound: string }[];
  /** What is over its bound, with what to do. */
  failures: string[];
  /** What else should be known. */
  notes: string[];
}

const names: Record<Protocol, string> = { http1: "HTTP/1.1", http2: "HTTP/2" };
const sum = ({ caller, called }: BySide) => caller + called;
const percent = (share: number) => `${share < 0 ? "" : "+"}${(100 * share).toFixed(1)} %`;

/** Holds what was measured against the baseline: the sum of both sidecars, since that is what a request costs. */
export function judge(baseline: Measured, now: Measured): Judgement {
  const judgement: Judgement = { rows: [], failures: [], notes: [] };
  const bounds = boundsOf(baseline.made, now.made, judgement.notes);
  for (const protocol of protocols) {
    for (const kind of kinds) {
      const [before, after] = [baseline.requests[protocol][kind], now.requests[protocol][kind]];
      const where = sides.map(
        (side) => `the ${side === "caller" ? "caller's" : "called"} sidecar ${percent(after[side] / before[side] - 1)}`,
      );
      compare(judgement, `${kind} of an ${names[protocol]} request`, [sum(before), sum(after)], bounds[kind], ` (${where.join(", ")})`);
    }
  }
  compare(judgement, "idle memory of a sidecar, bytes", [baseline.idleMemory, now.idleMemory], bounds.memory, "");
  return judgement;
}

function compare(
  { rows, failures, notes }: Judgement,
  figure: string,
  [baseline, now]: [number, number],
  bound: number,
  where: string,
): void {
  // Rounding is no reason: what is counted in twos and threes has its last decimals from what the machine does beside it.
  const change = now / baseline - 1;
  const shown = bound === Number.POSITIVE_INFINITY ? "none" : percent(bound);
  rows.push({ figure, baseline: rounded(baseline), now: rounded(now), change: percent(change), bound: shown });
  const beside = `${rounded(now)}, the baseline is ${rounded(baseline)}: ${percent(change)}${where}`;
  // A figure that is zero or no number was not counted.
  if (!(now > 0)) failures.push(`${figure}: nothing was counted`);
  else if (change > bound) failures.push(`${figure}: ${beside}; the bound is ${shown}`);
  else if (change < -BOUND && bound === BOUND) notes.push(`${figure}: ${beside}. If that is meant, record it: npm run gate -- --record`);
}

/** The bounds that hold between a baseline and a binary that was made otherwise. */
function boundsOf(before: Made, now: Made, notes: string[]): Record<Kind | "memory", number> {
  const bounds = { instructions: BOUND, "system calls": BOUND, allocations: BOUND, memory: BOUND };
  if (before.machine !== now.machine) {
    notes.push(
      `the baseline was recorded on ${before.machine}, this is ${now.machine}: instructions and memory cannot be compared and are not; system calls and allocations are`,
    );
    return { ...bounds, instructions: Number.POSITIVE_INFINITY, memory: Number.POSITIVE_INFINITY };
  }
  const others = (["rustc", "glibc"] as const).filter((what) => before[what] !== now[what]);
  if (others.length === 0) return bounds;
  const differences = others.map((what) => `${what} ${before[what]}, this is ${now[what]}`).join(", and ");
  notes.push(
    `the baseline was recorded with ${differences}: instructions and memory are held to ${percent(OTHER_COMPILER_BOUND)} only. Whoever moves to it for good records a baseline in a commit of its own`,
  );
  return { ...bounds, instructions: OTHER_COMPILER_BOUND, memory: OTHER_COMPILER_BOUND };
}

const rounded = (value: number) => (value < 1000 ? Number(value.toFixed(2)) : Math.round(value));

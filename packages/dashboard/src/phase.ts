import type { Live } from "@weft/api";

/** What the page knows: the last event, and what became of the connection. */
export interface Knowledge {
  /** The last event; undefined before the first. */
  live?: Live | undefined;
  /** When it came, milliseconds since 1970. */
  seenAt: number;
  /** Whether the connection that brought it is still open. */
  connected: boolean;
  /** What the controller answered instead of events. */
  refusal?: { message: string; hint: string } | undefined;
}

/** The page before anything happened. */
export const nothingKnown: Knowledge = { seenAt: 0, connected: false };

/** Events come once a second; after this long without one, what is shown is old. */
export const staleAfterMs = 3500;

/**
 * The states that people must be able to tell apart: the controller refuses the page; it never answered (no data); what is shown is old (stale);
 * nothing calls anything (idle); and the good one.
 */
export type Phase = "refused" | "no data" | "stale" | "idle" | "live";

/** The state of the page at `now`, milliseconds since 1970. */
export function phaseOf({ live, seenAt, connected, refusal }: Knowledge, now: number): Phase {
  if (refusal) return "refused";
  if (!live) return "no data";
  if (!connected || now - seenAt > staleAfterMs) return "stale";
  const busy = live.edges.some((edge) => edge.requests > 0 || edge.connections.open > 0 || edge.connections.opened > 0);
  return busy ? "live" : "idle";
}

/** What stands for a number that there is none of. */
export const none = "–";

/** A share as per cent, never rounded up to 100 %. */
export function percent(share: number | null): string {
  if (share === null) return none;
  if (share === 1) return "100 %";
  return `${(Math.floor(share * 10_000) / 100).toFixed(2)} %`;
}

/** Events a second. */
export function rate(rps: number): string {
  if (rps === 0) return "0";
  if (rps < 0.05) return "<0.1";
  return rps < 100 ? rps.toFixed(1) : Math.round(rps).toLocaleString("en");
}

/** Milliseconds, three digits at most. */
export function milliseconds(ms: number | null): string {
  if (ms === null) return none;
  if (ms < 10) return `${ms.toFixed(2)} ms`;
  if (ms < 100) return `${ms.toFixed(1)} ms`;
  return ms < 10_000 ? `${Math.round(ms).toLocaleString("en")} ms` : `${(ms / 1000).toFixed(1)} s`;
}

/** A span of time, roughly. */
export function ago(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 120) return `${seconds} s ago`;
  return seconds < 7200 ? `${Math.round(seconds / 60)} min ago` : `${Math.round(seconds / 3600)} h ago`;
}

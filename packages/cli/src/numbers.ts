/** What is shown where there is nothing to say. */
export const nothing = "-";

/** A share from 0 to 1 as a percentage. Rounds down, and only "100 %" means that nothing failed. */
export function percent(share: number | null | undefined): string {
  if (share === null || share === undefined) return nothing;
  return share === 1 ? "100 %" : `${(Math.floor(share * 10_000) / 100).toFixed(2)} %`;
}

/** Milliseconds for people: three digits, and a unit that fits. */
export function duration(milliseconds: number | null | undefined): string {
  if (milliseconds === null || milliseconds === undefined) return nothing;
  if (milliseconds < 0.9995) return `${Math.round(milliseconds * 1000)}µs`;
  return milliseconds < 999.5 ? `${threeDigits(milliseconds)}ms` : `${threeDigits(milliseconds / 1000)}s`;
}

/** Something a second. */
export function rate(perSecond: number | null | undefined): string {
  if (perSecond === null || perSecond === undefined) return nothing;
  return perSecond.toFixed(perSecond < 100 ? 1 : 0);
}

/** A number of bytes: three digits, and a unit that fits. */
export function bytes(value: number): string {
  if (value < 1000) return `${value}B`;
  const power = Math.min(4, Math.floor(Math.log10(value) / 3 + 1e-9));
  return `${threeDigits(value / 1000 ** power)}${["", "kB", "MB", "GB", "TB"][power]}`;
}

/** A count with separators between thousands. */
export function count(value: number | null | undefined): string {
  return value === null || value === undefined ? nothing : value.toLocaleString("en-US");
}

/** A count with what is counted: `1 request`, `2,000 requests`. */
export function counted(value: number, what: string): string {
  return `${count(value)} ${what}${value === 1 ? "" : "s"}`;
}

/** Time since a moment, in the largest unit that fits. */
export function age(since: number, now: number): string {
  const seconds = Math.max(0, Math.floor((now - since) / 1000));
  if (seconds < 120) return `${seconds}s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3600)}h`;
  return `${Math.floor(seconds / 86_400)}d`;
}

/** A length of time in the largest unit that fits it exactly: 90s, 5m, 12h. */
export function windowText(seconds: number): string {
  if (seconds <= 120) return `${seconds}s`;
  if (seconds % 3600 === 0) return `${seconds / 3600}h`;
  return seconds % 60 === 0 ? `${seconds / 60}m` : `${seconds}s`;
}

function threeDigits(value: number): string {
  if (value < 10) return value.toFixed(2);
  return value < 100 ? value.toFixed(1) : Math.round(value).toString();
}

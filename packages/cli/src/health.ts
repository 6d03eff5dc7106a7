/** Green from 99.9 %, yellow from 95 %, red below. */
export function healthColour(successRate: number | null): "green" | "yellow" | "red" | undefined {
  if (successRate === null) return undefined;
  if (successRate >= 0.999) return "green";
  return successRate >= 0.95 ? "yellow" : "red";
}

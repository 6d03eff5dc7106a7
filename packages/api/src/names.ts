/** Longest DNS label (RFC 1123). */
export const maxNameLength = 63;

const label = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;

/** Says why `name` is no DNS label, for people; undefined when it is one. */
export function nameProblem(name: string): string | undefined {
  if (name === "") return "it is empty";
  if (name.length > maxNameLength) return `it has ${name.length} characters, and at most ${maxNameLength} are allowed`;
  if (label.test(name)) return undefined;
  if (/[A-Z]/.test(name)) return "it has upper-case letters";
  if (name.startsWith("-") || name.endsWith("-")) return "it starts or ends with a hyphen";
  const odd = [...name].find((character) => !/[-a-z0-9]/.test(character));
  return `it contains ${JSON.stringify(odd)}; only a-z, 0-9 and hyphens are allowed`;
}

/** The nearest valid name to `name`, or undefined when nothing of it can be kept. */
export function suggestName(name: string): string | undefined {
  const candidate = name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .slice(0, maxNameLength)
    .replace(/^-+|-+$/g, "");
  return candidate === "" ? undefined : candidate;
}

/** The one of `known` that was most likely meant by `name`: at most two edits away, one of a short name, or a third of its length. */
export function nearest(name: string, known: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.max(name.length <= 3 ? 1 : 2, Math.floor(name.length / 3)) + 1;
  for (const candidate of known) {
    // Each edit changes the length by one at most.
    if (Math.abs(candidate.length - name.length) >= bestDistance) continue;
    const distance = editDistance(name, candidate);
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
}

// Letters put in, left out, replaced, or swapped with the next.
function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substituted = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const isSwapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const swapped = isSwapped ? (before[j - 2] as number) + 1 : Number.POSITIVE_INFINITY;
      next.push(Math.min(substituted, swapped, (row[j] as number) + 1, (next[j - 1] as number) + 1));
    }
    [before, row] = [row, next];
  }
  return row[b.length] as number;
}

/** A line of a comparison. */
export interface DiffLine {
  /** ` `: in both; `-`: only before; `+`: only after; `@`: where a part begins. */
  mark: " " | "-" | "+" | "@";
  text: string;
}

const contextLines = 3;
// Beyond so many differences the least number of them is not looked for: everything between the first and the last is one.
const maxDifferences = 2000;

/** Compares texts by lines: the parts that differ, with some lines around them. Empty when they are equal. */
export function unifiedDiff(before: string, after: string): DiffLine[] {
  const lines = compare(linesOf(before), linesOf(after));
  const changes = lines.flatMap(({ mark }, index) => (mark === " " ? [] : [index]));
  const parts: [number, number][] = [];
  for (const index of changes) {
    const [from, to] = [Math.max(0, index - contextLines), Math.min(lines.length, index + contextLines + 1)];
    const last = parts.at(-1);
    if (last !== undefined && from <= last[1]) last[1] = to;
    else parts.push([from, to]);
  }
  return parts.flatMap(([from, to]) => [{ mark: "@" as const, text: headOf(lines, from, to) }, ...lines.slice(from, to)]);
}

const linesOf = (text: string) => (text === "" ? [] : text.replace(/\n$/, "").split("\n"));

function headOf(lines: readonly DiffLine[], from: number, to: number): string {
  const count = (mark: "-" | "+", start: number, end: number) =>
    lines.slice(start, end).filter((line) => line.mark === " " || line.mark === mark).length;
  const range = (mark: "-" | "+") => {
    const length = count(mark, from, to);
    return `${mark}${count(mark, 0, from) + (length > 0 ? 1 : 0)},${length}`;
  };
  return `@@ ${range("-")} ${range("+")} @@`;
}

/** All lines of both, those that are in both once. */
export function compare(before: readonly string[], after: readonly string[]): DiffLine[] {
  let start = 0;
  while (start < Math.min(before.length, after.length) && before[start] === after[start]) start += 1;
  let [endBefore, endAfter] = [before.length, after.length];
  while (endBefore > start && endAfter > start && before[endBefore - 1] === after[endAfter - 1]) {
    endBefore -= 1;
    endAfter -= 1;
  }
  const same = (texts: readonly string[]) => texts.map((text): DiffLine => ({ mark: " ", text }));
  return [
    ...same(before.slice(0, start)),
    ...shortestEdit(before.slice(start, endBefore), after.slice(start, endAfter)),
    ...same(before.slice(endBefore)),
  ];
}

/** Fewest lines taken out and put in: the greedy algorithm of Myers, which follows for each number of differences how far each diagonal reaches. */
function shortestEdit(before: readonly string[], after: readonly string[]): DiffLine[] {
  const reach = new Map<number, number>([[1, 0]]);
  const history: Map<number, number>[] = [];
  const limit = Math.min(before.length + after.length, maxDifferences);
  for (let differences = 0; differences <= limit; differences++) {
    history.push(new Map(reach));
    for (let diagonal = -differences; diagonal <= differences; diagonal += 2) {
      let x = nextX(reach, diagonal, differences);
      while (x < before.length && x - diagonal < after.length && before[x] === after[x - diagonal]) x += 1;
      reach.set(diagonal, x);
      if (x >= before.length && x - diagonal >= after.length) return backtrack(history, before, after);
    }
  }
  return [...before.map((text): DiffLine => ({ mark: "-", text })), ...after.map((text): DiffLine => ({ mark: "+", text }))];
}

const isDown = (reach: ReadonlyMap<number, number>, diagonal: number, differences: number) =>
  diagonal === -differences || (diagonal !== differences && (reach.get(diagonal - 1) ?? -1) < (reach.get(diagonal + 1) ?? -1));

function nextX(reach: ReadonlyMap<number, number>, diagonal: number, differences: number): number {
  return isDown(reach, diagonal, differences) ? (reach.get(diagonal + 1) ?? 0) : (reach.get(diagonal - 1) ?? 0) + 1;
}

function backtrack(history: readonly Map<number, number>[], before: readonly string[], after: readonly string[]): DiffLine[] {
  const lines: DiffLine[] = [];
  let [x, y] = [before.length, after.length];
  for (let differences = history.length - 1; differences >= 0; differences--) {
    const reach = history[differences] as Map<number, number>;
    const diagonal = x - y;
    const down = isDown(reach, diagonal, differences);
    const previous = down ? diagonal + 1 : diagonal - 1;
    const previousX = reach.get(previous) ?? 0;
    const previousY = previousX - previous;
    while (x > Math.max(previousX, 0) && y > Math.max(previousY, 0) && (down ? x > previousX : y > previousY)) {
      x -= 1;
      y -= 1;
      lines.push({ mark: " ", text: before[x] ?? "" });
    }
    if (differences === 0) break;
    if (down) lines.push({ mark: "+", text: after[y - 1] ?? "" });
    else lines.push({ mark: "-", text: before[x - 1] ?? "" });
    [x, y] = [previousX, previousY];
  }
  return lines.reverse();
}

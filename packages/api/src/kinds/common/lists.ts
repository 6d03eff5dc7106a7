import { z } from "zod";

// Lists as Kubernetes knows them: `map` has items with a key, `set` has values that differ, and anything else is one value.

/** A list of at most `max` items in which no two have the same `keys`. */
export function mapList<Item extends z.ZodObject>(item: Item, keys: (keyof z.output<Item> & string)[], max?: number) {
  const list = max === undefined ? z.array(item) : z.array(item).max(max);
  const keyOf = (value: unknown) => JSON.stringify(keys.map((key) => (value as Record<string, unknown>)[key]));
  return list
    .check(unique(keyOf, (value) => keys.map((key) => `${key} ${JSON.stringify((value as Record<string, unknown>)[key])}`).join(", ")))
    .meta({ "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": keys });
}

/** A list of at most `max` values that differ. */
export function setList<Item extends z.ZodType>(item: Item, max?: number) {
  const list = max === undefined ? z.array(item) : z.array(item).max(max);
  return list.check(unique(JSON.stringify, JSON.stringify)).meta({ "x-kubernetes-list-type": "set" });
}

/** A list of at most `max` items that is replaced as a whole. */
export function atomicList<Item extends z.ZodType>(item: Item, max?: number) {
  const list = max === undefined ? z.array(item) : z.array(item).max(max);
  return list.meta({ "x-kubernetes-list-type": "atomic" });
}

function unique(keyOf: (value: unknown) => string, show: (value: unknown) => string) {
  return (context: z.core.ParsePayload<unknown[]>) => {
    const first = new Map<string, number>();
    for (const [index, value] of context.value.entries()) {
      const key = keyOf(value);
      const earlier = first.get(key);
      if (earlier === undefined) {
        first.set(key, index);
        continue;
      }
      const cause = `${show(value)} is there already, at [${earlier}]`;
      const params = { cause, remedy: "Leave one of the two out", duplicate: true };
      context.issues.push({ code: "custom", input: value, path: [index], message: cause, params, continue: true });
    }
  };
}

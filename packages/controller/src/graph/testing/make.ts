import { Graph, type Made } from "../graph.ts";
import type { View } from "../view.ts";
import { views } from "../views/index.ts";
import { type Item, listed } from "./objects.ts";

/** What a view makes of a key, of these objects. */
export function made<Value>(items: readonly Item[], view: View<Value>, key: string): Made<Value> {
  const graph = new Graph(views);
  graph.apply(listed(items));
  return graph.want(view, key);
}

/** Findings in short: what they are about, the reason, the condition. */
export const inShort = ({ findings }: Made<unknown>) =>
  findings.map(({ path, reason, condition }) => [path, reason, ...(condition === undefined ? [] : [condition])].join(" "));

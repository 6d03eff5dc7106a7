import dagre from "@dagrejs/dagre";

export const nodeWidth = 170;
export const nodeHeight = 48;

/** A place in the drawing, pixels. */
export interface Point {
  x: number;
  y: number;
}

/** Where nodes are. A layout remembers all that it ever placed, so that what is shown does not jump when calls pause. */
export interface Layout {
  places: ReadonlyMap<string, Point>;
  /** Edges that were laid out, as JSON of [from, to]. */
  edges: ReadonlySet<string>;
  width: number;
  height: number;
}

/** The layout of nothing. */
export const emptyLayout: Layout = { places: new Map(), edges: new Set(), width: 0, height: 0 };

/** The layout of `nodes` and `edges`: `before` itself unless something new appeared, callers left of what they call. */
export function layOut(before: Layout, nodes: readonly string[], edges: readonly { from: string; to: string }[]): Layout {
  const keys = edges.map(({ from, to }) => JSON.stringify([from, to]));
  if (nodes.every((id) => before.places.has(id)) && keys.every((key) => before.edges.has(key))) return before;

  const present = new Set(nodes);
  const remembered = [...before.edges].filter((key) => (JSON.parse(key) as string[]).every((id) => present.has(id)));
  const all = new Set([...remembered, ...keys].sort());
  const graph = new dagre.graphlib.Graph();
  graph.setGraph({ rankdir: "LR", nodesep: 24, ranksep: 130, marginx: 12, marginy: 16 });
  graph.setDefaultEdgeLabel(() => ({}));
  // dagre takes "" for no name at all, and callers that nothing is known of are called so.
  const named = (id: string) => `:${id}`;
  for (const id of [...present].sort()) graph.setNode(named(id), { width: nodeWidth, height: nodeHeight });
  for (const key of all) {
    const [from, to] = JSON.parse(key) as [string, string];
    graph.setEdge(named(from), named(to));
  }
  dagre.layout(graph);
  const places = new Map<string, Point>(nodes.map((id) => [id, { x: graph.node(named(id)).x ?? 0, y: graph.node(named(id)).y ?? 0 }]));
  const { width = 0, height = 0 } = graph.graph();
  return { places, edges: all, width, height };
}

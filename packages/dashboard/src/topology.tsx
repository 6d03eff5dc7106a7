import { percent, rate } from "./format.ts";
import { degradedBelow, type Graph, type GraphEdge, type GraphNode, type Health } from "./graph.ts";
import { type Layout, nodeHeight, nodeWidth, type Point } from "./layout.ts";

/** Health is said by a word and a sign, colour only helps. */
const signs: Record<Health, string> = { ok: "✓", degraded: "!", failing: "✗", down: "✗", idle: "·", caller: "→", outside: "○" };

const maxLabel = 18;
const clip = (text: string) => (text.length > maxLabel ? `${text.slice(0, maxLabel - 1)}…` : text);

/** Anchor of a service's row in the table. */
export const rowId = (id: string) => `service-${encodeURIComponent(id)}`;

function edgePath(from: Point, to: Point): { path: string; label: Point } {
  const forward = to.x > from.x;
  const start = { x: from.x + (forward ? nodeWidth : -nodeWidth) / 2, y: from.y };
  const end = { x: to.x - (forward ? nodeWidth : -nodeWidth) / 2, y: to.y };
  const bend = forward ? 0 : nodeHeight;
  const middle = (start.x + end.x) / 2;
  return {
    path: `M ${start.x} ${start.y} C ${middle} ${start.y + bend}, ${middle} ${end.y + bend}, ${end.x} ${end.y}`,
    label: { x: middle, y: (start.y + end.y) / 2 + bend * 0.75 - 5 },
  };
}

function edgeText({ rps, open, successRate }: GraphEdge): string {
  if (successRate === null) return open > 0 ? `${open} open` : "idle";
  return successRate < degradedBelow ? `${rate(rps)}/s, ${percent(successRate)} ok` : `${rate(rps)}/s`;
}

function EdgeLine({ edge, layout }: { edge: GraphEdge; layout: Layout }) {
  const from = layout.places.get(edge.from);
  const to = layout.places.get(edge.to);
  if (!from || !to) return null;
  const { path } = edgePath(from, to);
  return (
    <g class={`edge ${kindOf(edge)}`}>
      <path d={path} marker-end="url(#arrow)" />
    </g>
  );
}

function EdgeLabel({ edge, layout }: { edge: GraphEdge; layout: Layout }) {
  const from = layout.places.get(edge.from);
  const to = layout.places.get(edge.to);
  if (!from || !to) return null;
  const { label } = edgePath(from, to);
  return (
    <g class={`edge ${kindOf(edge)}`}>
      <text x={label.x} y={label.y}>
        {edge.clear ? "not mTLS " : ""}
        {edgeText(edge)}
      </text>
    </g>
  );
}

function kindOf(edge: GraphEdge): string {
  const quiet = edge.successRate === null && edge.open === 0;
  return quiet ? "quiet" : edge.successRate !== null && edge.successRate < degradedBelow ? "troubled" : "busy";
}

const isService = ({ health }: GraphNode) => health !== "caller" && health !== "outside";

function NodeBox({ node, place }: { node: GraphNode; place: Point }) {
  const words = `${signs[node.health]} ${isService(node) ? `${node.health}, ${node.detail}` : node.detail}`;
  const box = (
    <g class={`node ${node.health}`} transform={`translate(${place.x - nodeWidth / 2} ${place.y - nodeHeight / 2})`}>
      <title>{`${node.label}: ${words}`}</title>
      <rect width={nodeWidth} height={nodeHeight} rx="7" />
      <text class="name" x="10" y="20">
        {clip(node.label)}
      </text>
      <text class="words" x="10" y="37">
        {words}
      </text>
    </g>
  );
  return isService(node) ? <a href={`#${rowId(node.id)}`}>{box}</a> : box;
}

/** Who calls whom, callers on the left. */
export function Topology({ graph, layout }: { graph: Graph; layout: Layout }) {
  return (
    <div class="scroll">
      <svg class="topology" width={layout.width} height={layout.height} viewBox={`0 0 ${layout.width} ${layout.height}`}>
        <title>Who calls whom</title>
        <defs>
          <marker id="arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto-start-reverse">
            <path d="M 0 0 L 8 4 L 0 8 z" />
          </marker>
        </defs>
        {graph.edges.map((edge) => (
          <EdgeLine key={JSON.stringify([edge.from, edge.to])} edge={edge} layout={layout} />
        ))}
        {/* After all lines, so that none crosses a label. */}
        {graph.edges.map((edge) => (
          <EdgeLabel key={JSON.stringify([edge.from, edge.to])} edge={edge} layout={layout} />
        ))}
        {graph.nodes.map((node) => {
          const place = layout.places.get(node.id);
          return place && <NodeBox key={node.id} node={node} place={place} />;
        })}
      </svg>
    </div>
  );
}

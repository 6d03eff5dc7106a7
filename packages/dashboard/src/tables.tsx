import type { Live, LiveRow } from "@weft/api";
import { milliseconds, none, percent, rate } from "./format.ts";
import { type GraphNode, inboundRows, serviceNodes, shortName } from "./graph.ts";
import { rowId } from "./topology.tsx";

function ServiceRow({ node, row }: { node: GraphNode; row: LiveRow | undefined }) {
  const hasRequests = row !== undefined && row.requests > 0;
  return (
    <tr id={rowId(node.id)}>
      <th scope="row">{node.label}</th>
      <td class={`health ${node.health}`}>
        {node.health}, {node.detail}
      </td>
      <td class="number">{percent(hasRequests ? row.successRate : null)}</td>
      <td class="number">{hasRequests ? rate(row.rps) : none}</td>
      <td class="number">{milliseconds(row?.latencyMs.p50 ?? null)}</td>
      <td class="number">{milliseconds(row?.latencyMs.p95 ?? null)}</td>
      <td class="number">{milliseconds(row?.latencyMs.p99 ?? null)}</td>
      <td class="number">{row?.connections.open ?? 0}</td>
    </tr>
  );
}

/** The golden metrics of every service, as its own sidecars counted them. */
export function Services({ live }: { live: Live }) {
  const rows = inboundRows(live);
  return (
    <div class="scroll">
      <table>
        <caption>Calls that each service answered, last {live.stat.window} s</caption>
        <thead>
          <tr>
            <th scope="col">Service</th>
            <th scope="col">Health</th>
            <th scope="col" class="number">
              Success
            </th>
            <th scope="col" class="number">
              Requests/s
            </th>
            <th scope="col" class="number">
              p50
            </th>
            <th scope="col" class="number">
              p95
            </th>
            <th scope="col" class="number">
              p99
            </th>
            <th scope="col" class="number">
              Connections
            </th>
          </tr>
        </thead>
        <tbody>
          {serviceNodes(live).map((node) => (
            <ServiceRow key={node.id} node={node} row={rows.get(node.id)} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** Connections that sidecars turned away; nothing when there are none. */
export function Refusals({ live }: { live: Live }) {
  const refused = live.edges.flatMap((edge) => edge.refusals.map((refusal) => ({ to: edge.to, ...refusal })));
  if (refused.length === 0) return null;
  return (
    <div class="scroll">
      <table>
        <caption>Connections refused (weft edges says more)</caption>
        <thead>
          <tr>
            <th scope="col">To</th>
            <th scope="col">From</th>
            <th scope="col" class="number">
              Times
            </th>
            <th scope="col">Why</th>
          </tr>
        </thead>
        <tbody>
          {refused.map(({ to, address, count, reason }) => (
            <tr key={JSON.stringify([to, address, reason])}>
              <th scope="row">{shortName(to)}</th>
              <td>{address}</td>
              <td class="number">{count}</td>
              <td>{reason}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

import type { TapRequest, Workload } from "@weft/api";
import type { Details } from "./details.ts";
import { milliseconds, none } from "./format.ts";
import { shortName } from "./graph.ts";

/** What the user alone sees: what runs, by which command, and live requests. */
export function Own({ details }: { details: Details }) {
  return (
    <>
      <Workloads workloads={details.workloads} />
      <Requests requests={details.requests} />
    </>
  );
}

function Workloads({ workloads }: { workloads: Workload[] }) {
  if (workloads.length === 0) return null;
  return (
    <div class="scroll">
      <table class="workloads">
        <caption>Workloads</caption>
        <thead>
          <tr>
            <th scope="col">Service</th>
            <th scope="col">Workload</th>
            <th scope="col">Sidecar</th>
            <th scope="col">Address</th>
            <th scope="col">Command</th>
          </tr>
        </thead>
        <tbody>
          {workloads.map(({ id, service, namespace, state, address, command }) => (
            <tr key={id}>
              <th scope="row">{shortName(`${service}.${namespace}`)}</th>
              <td>{id}</td>
              <td>{state}</td>
              <td>{address}</td>
              <td>
                <code>{command.join(" ")}</code>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Requests({ requests }: { requests: TapRequest[] }) {
  return (
    <div class="scroll">
      <table class="requests">
        <caption>
          {requests.length === 0 ? "Live requests: none since the page was opened" : "Live requests, latest first (weft tap has all)"}
        </caption>
        <thead>
          <tr>
            <th scope="col">From</th>
            <th scope="col">To</th>
            <th scope="col">Request</th>
            <th scope="col" class="number">
              Status
            </th>
            <th scope="col" class="number">
              Took
            </th>
          </tr>
        </thead>
        <tbody>
          {requests.map((request) => (
            <tr key={JSON.stringify([request.time, request.workload, request.path])}>
              <td>{request.from === "" ? none : shortName(request.from)}</td>
              <td>{shortName(request.to)}</td>
              <td>
                <code>{request.method === "" ? "bytes" : `${request.method} ${request.path}`}</code>
              </td>
              <td class="number">
                {request.error || (request.grpcStatus === null ? (request.status ?? none) : `grpc ${request.grpcStatus}`)}
              </td>
              <td class="number">{milliseconds(request.latencyMs)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

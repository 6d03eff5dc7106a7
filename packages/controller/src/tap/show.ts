import { anonymous, type TapRequest } from "@weft/api";
import { Direction, type TapEvent } from "@weft/api/proto";
import { apiProtocol } from "../protocols.ts";

/** Whose sidecar saw an event. */
export interface Seer {
  workload: string;
  /** "name.namespace". */
  service: string;
  /** SPIFFE ID. */
  identity: string;
}

/** An event as the HTTP API tells it. */
export function showRequest(event: TapEvent, { workload, service, identity }: Seer): TapRequest {
  const peer = { name: event.peer?.name ?? "", identity: event.peer?.identity ?? "" };
  const isCaller = event.direction === Direction.OUTBOUND;
  const own = event.anonymous && isCaller ? { name: anonymous, identity: "" } : { name: service, identity };
  const [from, to] = isCaller ? [own, peer] : [peer, own];
  return {
    kind: "request",
    time: timeOf(event.startUs),
    side: isCaller ? "caller" : "called",
    workload,
    from: from.name,
    fromIdentity: event.tls ? from.identity : "",
    to: to.name,
    toIdentity: event.tls ? to.identity : "",
    port: event.port,
    route: event.route,
    endpoint: event.endpoint,
    protocol: apiProtocol(event.protocol),
    method: event.method,
    authority: event.authority,
    path: event.path,
    status: event.status === 0 ? null : event.status,
    grpcStatus: event.grpcStatus ?? null,
    error: event.error,
    attempts: event.attempts,
    headLatencyMs: event.headLatencyUs === 0n ? null : milliseconds(event.headLatencyUs),
    latencyMs: milliseconds(event.latencyUs),
    requestBytes: Number(event.requestBytes),
    responseBytes: Number(event.responseBytes),
    tls: event.tls,
    ...(event.requestFields.length > 0 ? { requestFields: fieldsOf(event.requestFields) } : {}),
    ...(event.responseFields.length > 0 ? { responseFields: fieldsOf(event.responseFields) } : {}),
  };
}

function fieldsOf(fields: TapEvent["requestFields"]): { name: string; value: string }[] {
  return fields.map(({ name, value }) => ({ name, value }));
}

function milliseconds(micros: bigint): number {
  return Number(micros) / 1000;
}

// A sidecar may say anything; dates go only so far.
function timeOf(micros: bigint): string {
  const ms = Math.min(Math.max(Number(micros / 1000n), 0), 8.64e15);
  return new Date(ms).toISOString();
}

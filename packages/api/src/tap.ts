import type { Protocol } from "./http.ts";

/** Query of `GET /tap`. What is left out matches everything. */
export interface TapQuery {
  /** Only what this service's sidecars see, in both directions. "name.namespace". */
  service?: string;
  /** Only what this workload's sidecar sees, in both directions. Id. */
  workload?: string;
  /** Only calls of this service. "name.namespace". */
  from?: string;
  /** Only calls to this service. "name.namespace", or an address outside the mesh. */
  to?: string;
  /** Method of the request. */
  method?: string;
  /** Prefix of path and query. */
  path?: string;
  /** Final status: `500`, `5xx` or `200-299`. */
  status?: string;
  /** Fields that the request must have: `NAME` or `NAME=VALUE`. */
  header?: string[];
  /** Most requests shown in a second, from 1 to 10,000; 100 unless told. What comes beyond is counted. */
  maxRps?: number;
  /** Show the fields of requests and responses. */
  fields?: boolean;
  /** Show the values of fields that usually hold secrets, too. */
  secrets?: boolean;
}

/** A field of a message's head. */
export interface TapField {
  name: string;
  value: string;
}

/** A finished request, or a closed connection of opaque bytes (its `method` is empty). Every text in it comes from programs. */
export interface TapRequest {
  kind: "request";
  /** Start, ISO 8601. */
  time: string;
  /** Whose sidecar saw it. */
  side: "caller" | "called";
  /** Id of that sidecar's workload. */
  workload: string;
  /** Caller as "name.namespace"; empty when it is not known. */
  from: string;
  /** SPIFFE ID of the caller; empty when none is proven. */
  fromIdentity: string;
  /** Called as "name.namespace", or an address outside the mesh. */
  to: string;
  /** SPIFFE ID of the called; empty when none is proven. */
  toIdentity: string;
  port: number;
  /** Namespace and name of the route that decided where it went, as the caller's sidecar sees it: "default/users"; empty when none did. */
  route: string;
  /** Id of the endpoint that answered; empty when none did, and when the called's sidecar saw it. */
  endpoint: string;
  protocol: Protocol | "unknown";
  method: string;
  authority: string;
  /** Path and query; cut to 2,048 bytes. */
  path: string;
  /** Final status; null without an answer. */
  status: number | null;
  /** null where there was none. */
  grpcStatus: number | null;
  /** Stable code of the reason when a sidecar answered itself, or the request ended early; empty otherwise. */
  error: string;
  /** Times that the request was sent to an endpoint. */
  attempts: number;
  /** From the request's first byte to the head of the response, milliseconds; null without an answer. */
  headLatencyMs: number | null;
  /** From the request's first byte to the end of the response, milliseconds. */
  latencyMs: number;
  /** Bytes of bodies; of an opaque connection, of everything. */
  requestBytes: number;
  responseBytes: number;
  /** Whether mutual TLS protected it between sidecars. */
  tls: boolean;
  /** When asked for. */
  requestFields?: TapField[];
  responseFields?: TapField[];
}

/** One line of `GET /tap`. */
export type TapLine =
  | TapRequest
  /** Sent at first, and when it changes: sidecars that are watched, and workloads that match and whose sidecars cannot be. */
  | { kind: "watching"; sidecars: number; unreachable: string[] }
  /** Requests that matched and are not shown, since the last such line. `error` is the code of the reason when a sidecar ended its part. */
  | { kind: "dropped"; requests: number; error: string };

/** Most requests that a tap shows in a second unless told. */
export const defaultTapRps = 100;
/** Most requests that a tap may show in a second. */
export const maxTapRps = 10_000;

/** `500`, `5xx` or `200-299` as the lowest and highest status; undefined when it is none of these. */
export function parseStatusRange(text: string): { min: number; max: number } | undefined {
  const [, digit, exact, low, high] = /^(?:([1-9])xx|([1-9]\d\d)|([1-9]\d\d)-([1-9]\d\d))$/i.exec(text) ?? [];
  if (digit !== undefined) return { min: Number(digit) * 100, max: Number(digit) * 100 + 99 };
  if (exact !== undefined) return { min: Number(exact), max: Number(exact) };
  if (low === undefined || high === undefined || Number(low) > Number(high)) return undefined;
  return { min: Number(low), max: Number(high) };
}

/** `NAME` or `NAME=VALUE` as a field; undefined when the name can be no field's. */
export function parseFieldMatch(text: string): { name: string; value?: string } | undefined {
  const at = text.indexOf("=");
  const name = (at < 0 ? text : text.slice(0, at)).toLowerCase();
  if (!/^:?[!#$%&'*+.^_`|~0-9a-z-]+$/.test(name)) return undefined;
  return at < 0 ? { name } : { name, value: text.slice(at + 1) };
}

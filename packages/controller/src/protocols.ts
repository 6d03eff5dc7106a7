import type { Protocol } from "@weft/api";
import { Protocol as WireProtocol } from "@weft/api/proto";

const toWire = { http1: WireProtocol.HTTP1, http2: WireProtocol.HTTP2, tcp: WireProtocol.TCP };

/** A protocol as the contract says it. */
export function wireProtocol(protocol: Protocol | undefined): WireProtocol {
  return protocol === undefined ? WireProtocol.UNSPECIFIED : toWire[protocol];
}

/** A protocol of the contract as the HTTP API says it. */
export function apiProtocol(protocol: WireProtocol): Protocol | "unknown" {
  if (protocol === WireProtocol.HTTP1) return "http1";
  if (protocol === WireProtocol.HTTP2) return "http2";
  return protocol === WireProtocol.TCP ? "tcp" : "unknown";
}

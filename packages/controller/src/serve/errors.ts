import { Code, ConnectError } from "@connectrpc/connect";
import { type ErrorCode, WeftError, weftError } from "@weft/api";

const grpcCodes: Partial<Record<ErrorCode, Code>> = {
  "WEFT-C-TOKEN-REFUSED": Code.Unauthenticated,
  "WEFT-C-CREDENTIAL-REFUSED": Code.Unauthenticated,
  "WEFT-C-WORKLOAD-FORGOTTEN": Code.NotFound,
  "WEFT-C-WORKLOAD-REMOVED": Code.NotFound,
  "WEFT-C-CSR-INVALID": Code.InvalidArgument,
  "WEFT-C-STREAM-VIOLATION": Code.InvalidArgument,
  "WEFT-C-TELEMETRY-FAILED": Code.Unavailable,
  "WEFT-C-TOO-MANY": Code.ResourceExhausted,
};

/** The gRPC error that carries an error to a sidecar. */
export function toConnectError(error: unknown): ConnectError {
  if (error instanceof ConnectError) return error;
  if (!(error instanceof WeftError)) return new ConnectError("WEFT-C-INTERNAL: a fault in the controller", Code.Internal);
  return new ConnectError(`${error.code}: ${error.message} ${error.hint}`.trimEnd(), grpcCodes[error.code as ErrorCode] ?? Code.Internal);
}

/** A message does not fit the contract. */
export function violation(what: string): WeftError {
  return weftError("WEFT-C-STREAM-VIOLATION", what);
}

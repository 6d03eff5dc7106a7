/** How one request ended. */
export interface Outcome {
  /** First digit of the HTTP status; 0 when no answer came. */
  statusClass: number;
  /** gRPC status, where there was one. */
  grpcStatus?: number | undefined;
}

// UNKNOWN, DEADLINE_EXCEEDED, INTERNAL, UNAVAILABLE, DATA_LOSS: the server's fault. The others are the caller's, as 4xx are.
const grpcFailures = new Set([2, 4, 13, 14, 15]);

/** Whether a request failed: HTTP 5xx, no answer, or a gRPC status that is the server's fault. */
export function isFailure({ statusClass, grpcStatus }: Outcome): boolean {
  return statusClass === 0 || statusClass === 5 || (grpcStatus !== undefined && grpcFailures.has(grpcStatus));
}

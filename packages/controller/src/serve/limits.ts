/** Bounds of servers of the HTTP API, in milliseconds and bytes. */
export const serverOptions = {
  headersTimeout: 5_000,
  requestTimeout: 10_000,
  keepAliveTimeout: 5_000,
  connectionsCheckingInterval: 1_000,
  maxHeaderSize: 16 * 1024,
};

/** Most connections of a server of the HTTP API. */
export const maxConnections = 256;

// gRPC between the libraries of three languages: every caller asks every server everything.

export const libraries = ["grpcio", "grpc-js", "grpc-go"] as const;

export type Library = (typeof libraries)[number];

/** What a caller must have seen, by what it did. */
export const cases: { name: string; what: string; expected: unknown }[] = [
  { name: "unary", what: "a unary call", expected: "hello" },
  { name: "megabyte", what: "a message of 1 MiB and the same back", expected: true },
  { name: "compressed", what: "the same, compressed", expected: true },
  { name: "serverStream", what: "a stream of 1000 messages from the server", expected: [1000, 1_000_000] },
  { name: "clientStream", what: "a stream of 1000 messages to the server", expected: "1000000" },
  { name: "bothWays", what: "100 messages, each after the answer to the one before, and the end", expected: [100, true] },
  {
    name: "failure",
    what: "a status with a message that needs escapes and binary trailers",
    expected: [5, "no such thing: ü 100%\n", true],
  },
  { name: "unimplemented", what: "a method that the server does not have", expected: 12 },
  { name: "metadata", what: "6000 characters of metadata before and after the answer", expected: [true, true] },
  { name: "deadline", what: "a deadline that passes", expected: 4 },
  { name: "cancelled", what: "a call that the caller cancels", expected: true },
  { name: "serverSawBoth", what: "the server is told of both", expected: true },
];

/** The official interoperability cases of grpc-go that need no cloud credentials, with the options that they need. */
export const interoperability: Record<string, string[]> = {
  empty_unary: [],
  large_unary: [],
  client_streaming: [],
  server_streaming: [],
  ping_pong: [],
  empty_stream: [],
  timeout_on_sleeping_server: [],
  cancel_after_begin: [],
  cancel_after_first_response: [],
  status_code_and_message: [],
  special_status_message: [],
  custom_metadata: [],
  unimplemented_method: [],
  unimplemented_service: [],
  pick_first_unary: [],
  orca_per_rpc: [`-service_config_json={"loadBalancingConfig":[{"test_backend_metrics_load_balancer":{}}]}`],
  orca_oob: [`-service_config_json={"loadBalancingConfig":[{"test_backend_metrics_load_balancer":{}}]}`],
  rpc_soak: ["-soak_iterations=50"],
  channel_soak: ["-soak_iterations=50"],
};

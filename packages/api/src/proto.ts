/** The generated code of the contract between controller and sidecars (proto/weft/v1). */
export * from "./gen/weft/v1/discovery_pb.js";
export * from "./gen/weft/v1/identity_pb.js";
export * from "./gen/weft/v1/inspect_pb.js";
export * from "./gen/weft/v1/tap_pb.js";
export * from "./gen/weft/v1/telemetry_pb.js";
export * from "./gen/weft/v1/workload_pb.js";

// The kinds of resources: what they are, how documents are checked, and what is made of them. Pure; heavier than what callers of the HTTP API need,
// so it has an entry of its own.
export * from "./generate/crd.ts";
export * from "./generate/explain.ts";
export * from "./generate/json-schema.ts";
export * from "./generate/reference.ts";
export { durationMs } from "./kinds/common/scalars.ts";
export type { EndpointSlice } from "./kinds/endpoint-slice/index.ts";
export type { GrpcRoute } from "./kinds/grpc-route/index.ts";
export { type HttpRoute, httpRoute } from "./kinds/http-route/index.ts";
export * from "./kinds/index.ts";
export type { Kind, KindNames, Rule } from "./kinds/kind.ts";
export type { Mesh } from "./kinds/mesh/index.ts";
export type { ReferenceGrant } from "./kinds/reference-grant/index.ts";
export type { Service } from "./kinds/service/index.ts";
export type { Workload } from "./kinds/workload/index.ts";
export * from "./validate/documents.ts";
export * from "./validate/fault.ts";
export * from "./validate/fields.ts";
export * from "./validate/limits.ts";
export * from "./validate/object.ts";

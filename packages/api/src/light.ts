// What callers of the HTTP API and the thread of telemetry need, without the schemas by which the controller checks bodies: loading those takes longer than a whole call.
export * from "./client.ts";
export * from "./constants.ts";
export * from "./errors.ts";
export * from "./histogram.ts";
export type * from "./http.ts";
export type * from "./live.ts";
export * from "./names.ts";
export * from "./state.ts";
export * from "./state-directory.ts";
export * from "./stats.ts";
export * from "./success.ts";
export * from "./tap.ts";
export type * from "./why.ts";

export * from "./client.ts";
export * from "./errors.ts";
export * from "./histogram.ts";
export * from "./http.ts";
export * from "./names.ts";
export * from "./state.ts";
export * from "./stats.ts";
export * from "./success.ts";

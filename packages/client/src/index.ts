export * from "./follow.ts";
export * from "./objects.ts";
export * from "./refusal.ts";
export * from "./resources.ts";
export * from "./transport.ts";

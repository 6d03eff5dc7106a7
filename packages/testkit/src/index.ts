export { type Controller, startController } from "@weft/controller";
export * from "./leaks.ts";
export * from "./mesh.ts";
export * from "./metrics.ts";
export * from "./ports.ts";
export * from "./process.ts";
export * from "./programs.ts";
export * from "./user.ts";
export * from "./wait.ts";

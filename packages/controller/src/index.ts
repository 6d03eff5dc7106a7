export { type Controller, type ControllerOptions, startController } from "./controller.ts";
export { Session } from "./sessions/session.ts";

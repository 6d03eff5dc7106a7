export { type Controller, type ControllerOptions, startController } from "./controller.ts";
export { DiscoveryStream } from "./discovery/stream.ts";

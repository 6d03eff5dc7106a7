import type { StatePaths } from "@weft/api";
import type { Logger } from "pino";
import type { Authority } from "../ca/authority.ts";
import type { Credentials, Tokens } from "../ca/proofs.ts";
import type { Clocks } from "../clocks.ts";
import type { Faults } from "../faults.ts";
import type { Flow } from "../flow.ts";
import type { Inspections } from "../inspect/inspections.ts";
import type { LoggedErrors } from "../log.ts";
import type { Mesh } from "../mesh.ts";
import type { Registry } from "../registry/registry.ts";
import type { Sessions } from "../sessions/sessions.ts";
import type { Stores } from "../store/stores.ts";
import type { Taps } from "../tap/taps.ts";
import type { Telemetry } from "../telemetry/telemetry.ts";
import type { Trusted } from "../trusted.ts";
import type { OpenStreams } from "./streams.ts";

/** What the services to sidecars work on. */
export interface Services {
  mesh: Mesh;
  stores: Stores;
  flow: Flow;
  sessions: Sessions;
  authority: Authority;
  tokens: Tokens;
  credentials: Credentials;
  streams: OpenStreams;
  telemetry: Telemetry;
  taps: Taps;
  inspections: Inspections;
  faults: Faults;
  clocks: Clocks;
  trusted: Trusted;
  log: Logger;
}

/** What the HTTP API works on. */
export interface ApiServices extends Services {
  paths: StatePaths;
  registry: Registry;
  errors: LoggedErrors;
  /** ISO 8601. */
  startedAt: string;
  /** Ends the controller. */
  shutdown(): void;
}

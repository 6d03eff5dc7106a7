import type { Logger } from "pino";
import type { Stores } from "../store/stores.ts";
import type { Admit } from "./admit.ts";
import type { Room } from "./room.ts";

/** What the API of resources works on. */
export interface ResourceContext {
  stores: Stores;
  admit: Admit;
  room: Room;
  log: Logger;
}

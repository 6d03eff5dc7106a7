import type { Service, Status, Workload } from "./http.ts";
import type { Edge, Stat } from "./stats.ts";

/** One event of `GET /live`. */
export interface Live {
  status: Status;
  services: Service[];
  workloads: Workload[];
  edges: Edge[];
  stat: Stat;
}

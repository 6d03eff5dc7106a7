import type { Statement } from "../graph/status.ts";
import type { Standing } from "../sessions/session.ts";

const maxRefusals = 3;

/** Where routes stand with the proxies that they concern, by workload: each with those of the ports that it was sent. */
export type Standings = ReadonlyMap<string, readonly Standing[]>;

/** On how many proxies something is in force, and what those say that did not take it. */
export function programmed(standings: Standings): Statement {
  const total = standings.size;
  if (total === 0) return { status: "True", reason: "Programmed", message: "in force on 0 of 0 proxies: none sends requests there yet" };
  const inForce = [...standings.values()].filter((all) => all.every((each) => each.inForce)).length;
  const message = `in force on ${inForce} of ${total} ${total === 1 ? "proxy" : "proxies"}`;
  if (inForce === total) return { status: "True", reason: "Programmed", message };
  const refusals = [...standings].flatMap(([workload, all]) => all.flatMap((each) => refusalOf(workload, each)));
  if (refusals.length === 0) return { status: "False", reason: "Pending", message };
  const more = refusals.length > maxRefusals ? `; and ${refusals.length - maxRefusals} more` : "";
  return { status: "False", reason: "Rejected", message: `${message}; refused by ${refusals.slice(0, maxRefusals).join("; ")}${more}` };
}

function refusalOf(workload: string, standing: Standing): string[] {
  return standing.inForce || standing.reason === undefined ? [] : [`${workload}: ${standing.reason}`];
}

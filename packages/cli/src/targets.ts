import { type ApiClient, anonymous, defaultNamespace, nearest } from "@weft/api/light";
import { cliError } from "./errors.ts";
import { shortName } from "./names.ts";

/** Names that may be asked for. */
export interface Known {
  /** Services as "name.namespace", and addresses outside the mesh that were called. */
  services: string[];
  /** Ids of workloads, with their services. */
  workloads: Map<string, string>;
}

/** What is asked for: a service, or one workload of it. */
export type Target = { service: string; workload?: string };

/** Every service and workload, callers included; with `counted` also those that are gone and were counted. */
export async function knownNames(client: ApiClient, { counted = false } = {}): Promise<Known> {
  const [services, workloads, edges] = await Promise.all([client.services(), client.workloads(), counted ? client.edges() : []]);
  const names = [
    ...services.map(({ name, namespace }) => `${name}.${namespace}`),
    ...workloads.map(({ service, namespace }) => `${service}.${namespace}`),
    ...edges.flatMap(({ from, to }) => [from, to]),
  ];
  return {
    services: [...new Set(names.filter(Boolean))],
    workloads: new Map(workloads.map(({ id, service, namespace }) => [id, `${service}.${namespace}`])),
  };
}

/** The service that `name` means, or the anonymous callers: `users`, `users.team`, either with `.weft`. An unknown one is refused with the nearest name. */
export function findServiceName(name: string, { services }: Pick<Known, "services">): string {
  const wanted = qualified(name);
  if (services.includes(wanted)) return wanted;
  if (name === anonymous || services.includes(name)) return name;
  throw unknown("No service is", name, services.map(shortName));
}

/** The service or workload that `name` means. */
export function findTarget(name: string, known: Known): Target {
  const service = known.workloads.get(name);
  if (service !== undefined) return { service, workload: name };
  const wanted = qualified(name);
  if (known.services.includes(wanted)) return { service: wanted };
  throw unknown("No service is", name, [...known.services.map(shortName), ...known.workloads.keys()]);
}

function qualified(name: string): string {
  const bare = name.replace(/\.weft\.?$/, "");
  return bare.includes(".") ? bare : `${bare}.${defaultNamespace}`;
}

function unknown(what: string, name: string, known: string[]): Error {
  const meant = nearest(shortName(name), known);
  const suggestion = meant === undefined ? "" : ` Did you mean ${JSON.stringify(meant)}?`;
  return cliError("WEFT-L-SERVICE-UNKNOWN", `${what} called ${JSON.stringify(name)}.${suggestion}`);
}

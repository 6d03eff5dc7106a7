import { defaultNamespace, nearest, type Service } from "@weft/api/light";
import { cliError } from "./errors.ts";

/** `users` for a service of the default namespace, `users.team` for others; what has no namespace, such as "anonymous", as it is. */
export function shownName({ name, namespace }: { name: string; namespace: string }): string {
  return [defaultNamespace, ""].includes(namespace) ? name : `${name}.${namespace}`;
}

/** `users.default` as `users`; other texts, such as addresses, as they are. */
export function shortName(qualified: string): string {
  const suffix = `.${defaultNamespace}`;
  return qualified.endsWith(suffix) ? qualified.slice(0, -suffix.length) : qualified;
}

/** The service that is called `name` or `name.namespace`; an unknown one is refused with the nearest known name. */
export function findService(name: string, services: Pick<Service, "name" | "namespace">[]): Pick<Service, "name" | "namespace"> {
  const wanted = shortName(name);
  const found = services.find((service) => shownName(service) === wanted);
  if (found !== undefined) return found;
  const meant = nearest(wanted, services.map(shownName));
  const suggestion = meant === undefined ? "" : ` Did you mean ${JSON.stringify(meant)}?`;
  throw cliError("WEFT-L-SERVICE-UNKNOWN", `No service is called ${JSON.stringify(name)}.${suggestion}`);
}

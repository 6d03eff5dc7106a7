/** A service's name as everything calls it, whoever asks: `users.default`. */
export const canonicalName = (namespace: string, name: string) => `${name}.${namespace}`;

/** Namespace and name of a canonical name. */
export function serviceOf(canonical: string): { namespace: string; name: string } {
  const dot = canonical.indexOf(".");
  return { name: canonical.slice(0, dot), namespace: canonical.slice(dot + 1) };
}

/** Where a service is called that published a port on the host's loopback. */
export const publishedAddress = (port: number) => `127.0.0.1:${port}`;

/** Whose requests a list of routes is for. */
export interface RoutesScope {
  /** Canonical name of the service that is called. */
  service: string;
  port: number;
  /** Namespace of the callers, for what consumers say of their own calls; undefined for what the service's own namespace says. */
  callers?: string | undefined;
}

/** Key of routes: `users.default:80`, or `users.default:80@web` for callers of the namespace `web`. */
export const routesKey = ({ service, port, callers }: RoutesScope) => `${service}:${port}${callers === undefined ? "" : `@${callers}`}`;

/** What a key of routes says. */
export function scopeOf(key: string): RoutesScope {
  const [name = "", callers] = key.split("@");
  const colon = name.lastIndexOf(":");
  return { service: name.slice(0, colon), port: Number(name.slice(colon + 1)), callers };
}

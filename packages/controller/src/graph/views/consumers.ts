import { resources } from "../lists.ts";
import { routesKey, scopeOf, serviceOf } from "../names.ts";
import type { View } from "../view.ts";
import { routesView } from "./routes.ts";

/** Namespaces other than the service's own whose callers have routes of their own to a port of it, by the key of routes without callers (`users.default:80`). */
export const consumersView: View<readonly string[]> = {
  name: "consumers",
  make(reader, key) {
    const scope = scopeOf(key);
    const own = serviceOf(scope.service).namespace;
    const routes = [resources.grpcRoutes, resources.httpRoutes].flatMap((resource) => reader.list(resource, scope.service));
    const namespaces = new Set(routes.map(({ metadata }) => metadata.namespace ?? "").filter((namespace) => namespace !== own));
    const value = [...namespaces].sort().filter((callers) => reader.view(routesView, routesKey({ ...scope, callers })) !== undefined);
    return { value, findings: [] };
  },
};

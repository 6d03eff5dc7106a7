import { ResourceType } from "@weft/api/proto";
import type { Graph } from "../graph/graph.ts";
import { routesKey, serviceOf } from "../graph/names.ts";
import { viewKey } from "../graph/reader.ts";
import type { View } from "../graph/view.ts";
import { backendsOf, routesView } from "../graph/views/routes.ts";
import { serviceView } from "../graph/views/service.ts";
import type { Resource } from "../translate/resource.ts";
import type { Resources } from "../translate/resources.ts";

/** Which routes hold for a port. */
export interface RoutedPort {
  readonly port: number;
  readonly routes: string;
}

/**
 * What a service leads to when callers of a namespace call it: itself, the routes of its ports, and the endpoints of each service that those send requests
 * to. Worked out once for all sidecars of that namespace. Whoever holds it says when a view that it read has changed.
 */
export class Closure {
  readonly service: string;
  readonly #namespace: string;
  readonly #graph: Graph;
  readonly #resources: Resources;
  #reads: readonly { view: View<unknown>; key: string }[] = [];
  #held: readonly Resource[] = [];
  /** Whether there is such a service. */
  isFound = false;
  routedPorts: readonly RoutedPort[] = [];

  constructor(graph: Graph, resources: Resources, service: string, namespace: string) {
    this.#graph = graph;
    this.#resources = resources;
    this.service = service;
    this.#namespace = namespace;
    this.remake();
  }

  /** All that it leads to. */
  get resources(): readonly Resource[] {
    return this.#held;
  }

  /** Keys of the views of which it must hear changes. */
  get reads(): readonly string[] {
    return this.#reads.map(({ view, key }) => viewKey(view, key));
  }

  /** Works out anew what it leads to. */
  remake(): void {
    const before = { reads: this.#reads, held: this.#held };
    const reads: { view: View<unknown>; key: string }[] = [];
    const read = <Value>(view: View<Value>, key: string): Value | undefined => {
      reads.push({ view, key });
      return this.#graph.want(view, key).value;
    };
    const service = read(serviceView, this.service);
    const routed = (service?.ports ?? []).flatMap(({ port }) => {
      const keys = this.#routesKeys(port);
      for (const key of keys) {
        const routes = read(routesView, key);
        if (routes !== undefined) return [{ port, key, routes }];
      }
      return [];
    });
    const backends = new Set([this.service, ...routed.flatMap(({ routes }) => backendsOf(routes))]);
    this.isFound = service !== undefined;
    this.routedPorts = routed.map(({ port, key }) => ({ port, routes: key }));
    this.#held =
      service === undefined
        ? []
        : [
            this.#resources.want(ResourceType.SERVICE, this.service),
            ...[...backends].map((each) => this.#resources.want(ResourceType.ENDPOINTS, each)),
            ...routed.map(({ key }) => this.#resources.want(ResourceType.ROUTES, key)),
          ];
    this.#reads = reads;
    this.#release(before);
  }

  close(): void {
    this.#release({ reads: this.#reads, held: this.#held });
  }

  // Routes that callers of another namespace have for themselves take the place of the service's own.
  #routesKeys(port: number): string[] {
    const own = routesKey({ service: this.service, port });
    if (this.#namespace === serviceOf(this.service).namespace) return [own];
    return [routesKey({ service: this.service, port, callers: this.#namespace }), own];
  }

  #release({ reads, held }: { reads: readonly { view: View<unknown>; key: string }[]; held: readonly Resource[] }): void {
    for (const resource of held) this.#resources.release(resource);
    for (const { view, key } of reads) this.#graph.release(view, key);
  }
}

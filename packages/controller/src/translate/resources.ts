import { ResourceType } from "@weft/api/proto";
import type { Graph, ViewChange } from "../graph/graph.ts";
import type { View } from "../graph/view.ts";
import { endpointsView } from "../graph/views/endpoints.ts";
import { routesView } from "../graph/views/routes.ts";
import { serviceView } from "../graph/views/service.ts";
import { Resource, resourceKey } from "./resource.ts";

/** The view that makes each type. */
const viewOf: Partial<Record<ResourceType, View<unknown>>> = {
  [ResourceType.SERVICE]: serviceView,
  [ResourceType.ROUTES]: routesView,
  [ResourceType.ENDPOINTS]: endpointsView,
};

const typeOf = new Map(Object.entries(viewOf).map(([type, { name }]) => [name, Number(type) as ResourceType]));

/** Resources that somebody wants, each held once, with the view that it is made of. */
export class Resources {
  readonly #graph: Graph;
  readonly #held = new Map<string, { resource: Resource; wanted: number }>();

  constructor(graph: Graph) {
    this.#graph = graph;
  }

  /** The resource, held until it is released as often as it was wanted. */
  want(type: ResourceType, name: string): Resource {
    const key = resourceKey(type, name);
    const held = this.#held.get(key);
    if (held !== undefined) {
      held.wanted += 1;
      return held.resource;
    }
    const resource = new Resource(type, name);
    resource.set(this.#graph.want(viewOf[type] as View<unknown>, name).value);
    this.#held.set(key, { resource, wanted: 1 });
    return resource;
  }

  release({ key, type, name }: Resource): void {
    const held = this.#held.get(key);
    if (held === undefined) return;
    held.wanted -= 1;
    if (held.wanted > 0) return;
    this.#held.delete(key);
    this.#graph.release(viewOf[type] as View<unknown>, name);
  }

  /** Takes in what views made anew; answers resources that are of another version now. */
  take(changes: readonly ViewChange[]): Resource[] {
    return changes.flatMap(({ view, key, after }) => {
      const type = typeOf.get(view);
      const held = type === undefined ? undefined : this.#held.get(resourceKey(type, key));
      return held?.resource.set(after.value) ? [held.resource] : [];
    });
  }
}

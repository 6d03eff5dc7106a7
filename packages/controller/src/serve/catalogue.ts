import type { Service } from "@weft/api";
import type { Flow } from "../flow.ts";
import { resources } from "../graph/lists.ts";
import { canonicalName } from "../graph/names.ts";
import { endpointsView, type ServiceEndpoint } from "../graph/views/endpoints.ts";
import { type ServiceValue, serviceView } from "../graph/views/service.ts";

/** Every Service, as callers see it. From the first time that somebody asks, the views are held, so that asking again costs little. */
export class Catalogue {
  readonly #flow: Flow;
  readonly #names = new Set<string>();

  constructor(flow: Flow) {
    this.#flow = flow;
  }

  /** Number of Services. */
  get size(): number {
    return [...this.#places()].length;
  }

  /** All of them, by name. */
  services(): Omit<Service, "workloads">[] {
    const { graph } = this.#flow;
    const names = new Set([...this.#places()].map(nameOf));
    for (const name of this.#names) if (!names.has(name)) this.#release(name);
    for (const name of names) if (!this.#names.has(name)) this.#want(name);
    return [...names].sort().flatMap((name) => {
      const service = graph.want(serviceView, name).value;
      const endpoints = graph.want(endpointsView, name).value ?? [];
      graph.release(serviceView, name);
      graph.release(endpointsView, name);
      return service === undefined ? [] : [serviceOf(service, endpoints)];
    });
  }

  #places(): Iterable<string> {
    return this.#flow.graph.snapshot.objects.get(resources.services)?.keys() ?? [];
  }

  #want(name: string): void {
    this.#names.add(name);
    this.#flow.graph.want(serviceView, name);
    this.#flow.graph.want(endpointsView, name);
  }

  #release(name: string): void {
    this.#names.delete(name);
    this.#flow.graph.release(serviceView, name);
    this.#flow.graph.release(endpointsView, name);
  }
}

function nameOf(place: string): string {
  const slash = place.indexOf("/");
  return canonicalName(place.slice(0, slash), place.slice(slash + 1));
}

function serviceOf({ name, namespace, addresses, ports }: ServiceValue, endpoints: readonly ServiceEndpoint[]): Omit<Service, "workloads"> {
  return {
    name,
    namespace,
    virtualAddress: addresses[0] ?? "",
    ports: ports.map(({ port, protocol }) => (protocol === undefined ? { port } : { port, protocol })),
    endpoints: endpoints
      .filter(({ ready, ports: own }) => ready && own.length > 0)
      .map(({ id, addresses: [address = ""], sidecar, ports: own }) => ({
        id,
        address,
        inboundPort: sidecar?.port ?? 0,
        identity: sidecar?.identity ?? "",
        ports: own.map(({ port, targetPort }) => ({ servicePort: port, targetPort })),
      })),
  };
}

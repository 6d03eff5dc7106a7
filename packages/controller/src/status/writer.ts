import { isDeepStrictEqual } from "node:util";
import { type ErrorCode, WeftError } from "@weft/api";
import { ResourceType } from "@weft/api/proto";
import type { Flow } from "../flow.ts";
import type { SourceEvent } from "../graph/events.ts";
import type { ViewChange } from "../graph/graph.ts";
import { resources } from "../graph/lists.ts";
import { routesKey, serviceOf } from "../graph/names.ts";
import { objectAt, placeOf } from "../graph/snapshot.ts";
import { routeStatus, type Statement } from "../graph/status.ts";
import type { View } from "../graph/view.ts";
import type { Attachment, CompiledRoute } from "../graph/views/compiled-route.ts";
import { grpcRouteView } from "../graph/views/grpc-route.ts";
import { httpRouteView } from "../graph/views/http-route.ts";
import type { Standing } from "../sessions/session.ts";
import type { Store, StoredObject } from "../store/store.ts";
import { resourceKey } from "../translate/resource.ts";
import { programmed } from "./programmed.ts";

/** How long changes are gathered, milliseconds. */
const gatherMs = 50;
/** How long after one writing the next begins at the soonest, milliseconds. */
const pauseMs = 100;
/** How long after a failure it is tried again, milliseconds. */
const retryMs = 1_000;

const routeViews: ReadonlyMap<string, View<CompiledRoute>> = new Map([
  [resources.httpRoutes, httpRouteView],
  [resources.grpcRoutes, grpcRouteView],
]);

/** What statuses are made of, and where they go. */
export interface StatusContext {
  flow: Flow;
  store: Store;
  /** Where a resource of the contract stands with each sidecar that it concerns. */
  standings(resource: string): Iterable<[workload: string, standing: Standing]>;
  onError(error: unknown): void;
}

interface Route {
  resource: string;
  place: string;
  /** Routes of the contract in which it takes part. */
  parts: string[];
  isWriting: boolean;
}

/** Writes the status of routes: what was found of them, and on how many proxies they are in force. Only when it says something else than before. */
export class StatusWriter {
  readonly #context: StatusContext;
  readonly #routes = new Map<string, Route>();
  /** Routes by what of the contract they take part in. */
  readonly #byPart = new Map<string, Set<Route>>();
  readonly #due = new Set<Route>();
  #timer: NodeJS.Timeout | undefined;
  #writtenAt = Number.NEGATIVE_INFINITY;
  #isClosed = false;

  /** Begins with the routes that there are. */
  constructor(context: StatusContext) {
    this.#context = context;
    context.flow.on("applied", (events, changes) => this.#take(events, changes));
    for (const resource of routeViews.keys()) {
      for (const place of context.flow.graph.snapshot.objects.get(resource)?.keys() ?? []) this.#look(resource, place);
    }
  }

  /** Something of a resource of the contract is in force, refused, or not wanted any more. */
  progress(part: string): void {
    for (const route of this.#byPart.get(part) ?? []) this.#ask(route);
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }

  #take(events: readonly SourceEvent[], changes: readonly ViewChange[]): void {
    for (const event of events) {
      if (!routeViews.has(event.resource)) continue;
      const places =
        event.type === "relisted"
          ? [...this.#placesOf(event.resource), ...event.objects.map(placeOfObject)]
          : [placeOfObject(event.object)];
      for (const place of places) this.#look(event.resource, place);
    }
    for (const { view, key } of changes) {
      for (const [resource, { name }] of routeViews) if (name === view) this.#look(resource, key);
    }
  }

  #placesOf(resource: string): string[] {
    return [...this.#routes.values()].filter((each) => each.resource === resource).map(({ place }) => place);
  }

  /** A route came, went, changed, or something else is to be said of it. */
  #look(resource: string, place: string): void {
    const id = `${resource}/${place}`;
    const known = this.#routes.get(id);
    const view = routeViews.get(resource) as View<CompiledRoute>;
    const { graph } = this.#context.flow;
    if (this.#objectOf(resource, place) === undefined) {
      if (known === undefined) return;
      this.#join(known, []);
      this.#routes.delete(id);
      this.#due.delete(known);
      graph.release(view, place);
      return;
    }
    if (known === undefined) graph.want(view, place);
    const route = known ?? { resource, place, parts: [], isWriting: false };
    this.#routes.set(id, route);
    this.#join(
      route,
      this.#made(route).attachments.flatMap((attachment) => partsOf(place, attachment)),
    );
    this.#ask(route);
  }

  #join(route: Route, parts: string[]): void {
    for (const part of route.parts) {
      const all = this.#byPart.get(part);
      if (all?.delete(route) && all.size === 0) this.#byPart.delete(part);
    }
    route.parts = parts;
    for (const part of parts) this.#byPart.set(part, (this.#byPart.get(part) ?? new Set()).add(route));
  }

  #ask(route: Route): void {
    this.#due.add(route);
    this.#schedule(Math.max(gatherMs, this.#writtenAt + pauseMs - performance.now()));
  }

  #schedule(ms: number): void {
    if (this.#isClosed) return;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#writtenAt = performance.now();
      for (const route of this.#due) void this.#write(route);
    }, ms).unref();
  }

  async #write(route: Route): Promise<void> {
    if (route.isWriting) return;
    this.#due.delete(route);
    const object = this.#objectOf(route.resource, route.place);
    if (object === undefined) return;
    const status = this.#statusOf(route, object);
    if (isDeepStrictEqual(status, object.status)) return;
    route.isWriting = true;
    try {
      await this.#context.store.write({ verb: "status", resource: route.resource, object: { ...object, status } });
    } catch (error) {
      // One that has changed meanwhile, or gone, is told of by the store.
      const code = error instanceof WeftError ? (error.code as ErrorCode) : undefined;
      if (code !== "WEFT-C-OBJECT-CHANGED" && code !== "WEFT-C-OBJECT-UNKNOWN" && !this.#isClosed) {
        this.#context.onError(error);
        this.#due.add(route);
        this.#schedule(retryMs);
      }
    } finally {
      route.isWriting = false;
    }
    if (this.#due.has(route)) this.#schedule(pauseMs);
  }

  #statusOf(route: Route, object: StoredObject): object {
    const { attachments, findings } = this.#made(route);
    const ofParent = (parent: number): Statement | undefined => {
      const own = attachments.filter((each) => each.parent === parent);
      if (own.length === 0) return undefined;
      const standings = new Map<string, Standing[]>();
      for (const part of own.flatMap((attachment) => partsOf(route.place, attachment))) {
        for (const [workload, standing] of this.#context.standings(part)) {
          const all = standings.get(workload);
          if (all === undefined) standings.set(workload, [standing]);
          else all.push(standing);
        }
      }
      return programmed(standings);
    };
    const { parents } = routeStatus(object, findings, `${new Date().toISOString().slice(0, 19)}Z`, ofParent);
    return { ...(object.status as object | undefined), parents };
  }

  #made({ resource, place }: Route) {
    const view = routeViews.get(resource) as View<CompiledRoute>;
    const { graph } = this.#context.flow;
    const { value, findings } = graph.want(view, place);
    graph.release(view, place);
    return { attachments: value?.attachments ?? [], findings };
  }

  #objectOf(resource: string, place: string): StoredObject | undefined {
    const slash = place.indexOf("/");
    return objectAt(this.#context.flow.graph.snapshot, { resource, namespace: place.slice(0, slash), name: place.slice(slash + 1) });
  }
}

const placeOfObject = ({ metadata }: StoredObject) => placeOf(metadata);

/** Routes of the contract in which a route takes part by an attachment: those of its consumers, when it is of another namespace than the service. */
function partsOf(place: string, { service, ports }: Attachment): string[] {
  const namespace = place.slice(0, place.indexOf("/"));
  const callers = namespace === serviceOf(service).namespace ? undefined : namespace;
  return ports.map((port) => resourceKey(ResourceType.ROUTES, routesKey({ service, port, callers })));
}

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { SourceEvent } from "./events.ts";
import { Graph, type Made } from "./graph.ts";
import { resources } from "./lists.ts";
import { placeOf } from "./snapshot.ts";
import { grant, grpcRoute, httpRoute, type Item, listed, put, remove, service, slice, to } from "./testing/objects.ts";
import type { View } from "./view.ts";
import { endpointsView } from "./views/endpoints.ts";
import { grpcRouteView } from "./views/grpc-route.ts";
import { httpRouteView } from "./views/http-route.ts";
import { views } from "./views/index.ts";
import { routesView } from "./views/routes.ts";
import { serviceView } from "./views/service.ts";

const backend = (name: string, more: object = {}) => ({ name, port: 80, ...more });
const endpoints = (port: number, ...addresses: string[]) => ({
  ports: [{ port }],
  endpoints: addresses.map((address) => ({ addresses: [address] })),
});

/** Each object of a small mesh, in the forms that it may have. The first form is the one of a healthy mesh. */
const forms: readonly (readonly Item[])[] = [
  [
    service({ name: "users" }),
    service({ name: "users" }, { ports: [{ port: 80, appProtocol: "grpc" }] }),
    service({ name: "users" }, { ports: [{ port: 81 }] }),
  ],
  [service({ name: "next" }), service({ name: "next" }, { ports: [{ port: 90 }] })],
  [
    service({ name: "bill", namespace: "shop" }),
    service({ name: "bill", namespace: "shop" }, { type: "ExternalName", externalName: "a.b" }),
  ],
  [
    slice("users", { name: "users-1" }, endpoints(8080, "10.0.0.1", "10.0.0.2")),
    slice("next", { name: "users-1" }, endpoints(8080, "10.0.0.1")),
  ],
  [
    slice("users", { name: "users-2" }, endpoints(8080, "10.0.0.2", "10.0.0.3")),
    slice("users", { name: "users-2" }, endpoints(8081, "10.0.0.9")),
  ],
  [
    httpRoute(
      { name: "split" },
      { parentRefs: [to("users")], rules: [{ backendRefs: [backend("users", { weight: 9 }), backend("next")] }] },
    ),
    httpRoute(
      { name: "split" },
      { parentRefs: [to("users"), to("next")], rules: [{ backendRefs: [backend("bill", { namespace: "shop" })] }] },
    ),
    httpRoute(
      { name: "split" },
      { parentRefs: [to("next")], rules: [{ filters: [{ type: "RequestMirror", requestMirror: { backendRef: backend("users") } }] }] },
    ),
  ],
  [
    httpRoute(
      { name: "mine", namespace: "shop" },
      { parentRefs: [to("users", { namespace: "default" })], rules: [{ backendRefs: [backend("bill")] }] },
    ),
  ],
  [grpcRoute({ name: "calls" }, { parentRefs: [to("users", { port: 80 })], rules: [{ backendRefs: [backend("next")] }] })],
  [grant({ name: "all", namespace: "shop" }, "default"), grant({ name: "all", namespace: "shop" }, "default", { name: "other" })],
];
const healthy = forms.map(([first]) => first as Item).filter(({ resource }) => resource !== resources.grpcRoutes);

const wanted: readonly (readonly [View<unknown>, string])[] = [
  ...["users.default", "next.default", "bill.shop", "none.default"].flatMap((name) => [
    [serviceView, name] as const,
    [endpointsView, name] as const,
  ]),
  ...["users.default:80", "users.default:81", "next.default:80", "users.default:80@shop"].map((key) => [routesView, key] as const),
  [httpRouteView, "default/split"],
  [httpRouteView, "shop/mine"],
  [grpcRouteView, "default/calls"],
];

function graphOf(...events: (readonly SourceEvent[])[]): Graph {
  const graph = new Graph(views);
  for (const [view, key] of wanted) graph.want(view, key);
  for (const batch of events) assert.deepEqual(graph.apply(batch).failures, []);
  return graph;
}

/** All that is wanted of a graph, without asking for what nobody wanted before. */
function seen(graph: Graph): Made<unknown>[] {
  return wanted.map(([view, key]) => {
    const made = graph.want(view, key);
    graph.release(view, key);
    return made;
  });
}

const fresh = (items: readonly Item[]) => seen(graphOf(listed(items)));

/** What sources that say these events know in the end. */
function known(events: readonly SourceEvent[]): Item[] {
  const items = new Map<string, Item>();
  for (const event of events) {
    const { resource } = event;
    if (event.type === "relisted") for (const [key, item] of items) if (item.resource === resource) items.delete(key);
    for (const object of event.type === "relisted" ? event.objects : [event.object]) {
      const key = `${resource} ${placeOf(object.metadata)}`;
      if (event.type === "delete") items.delete(key);
      else items.set(key, { resource, object });
    }
  }
  return [...items.values()];
}

const anyForm = fc.constantFrom(...forms.flat());
const anyEvent: fc.Arbitrary<SourceEvent> = fc.oneof(
  { weight: 8, arbitrary: anyForm.map(put) },
  { weight: 4, arbitrary: anyForm.map(remove) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.constantFrom(...Object.values(resources)), fc.array(fc.nat(2), { minLength: forms.length, maxLength: forms.length }))
      .map(([resource, choice]): SourceEvent => {
        const items = forms.flatMap((each, index) => each[choice[index] ?? 0] ?? []).filter((each) => each.resource === resource);
        return { type: "relisted", resource, objects: items.map(({ object }) => object) };
      }),
  },
);

test("events in any batches give the views of a fresh start, after each of them", () => {
  fc.assert(
    fc.property(fc.array(fc.array(anyEvent, { maxLength: 5 }), { maxLength: 12 }), (batches) => {
      const graph = graphOf();
      for (const [index, batch] of batches.entries()) {
        assert.deepEqual(graph.apply(batch).failures, []);
        assert.deepEqual(seen(graph), fresh(known(batches.slice(0, index + 1).flat())));
      }
      assert.deepEqual(seen(graphOf(batches.flat())), seen(graph));
    }),
    { numRuns: 150 },
  );
});

test("events of several kinds in any order give the same views", () => {
  const ranks = fc.array(fc.nat(), { minLength: 5, maxLength: 5 });
  fc.assert(
    fc.property(fc.array(anyEvent, { maxLength: 30 }), ranks, (events, rank) => {
      const orderOf = ({ resource }: SourceEvent) => rank[Object.values<string>(resources).indexOf(resource)] ?? 0;
      const reordered = events.toSorted((a, b) => orderOf(a) - orderOf(b));
      assert.deepEqual(seen(graphOf(...reordered.map((event) => [event]))), seen(graphOf(events)));
    }),
    { numRuns: 150 },
  );
});

test("what is removed and added back, or edited and restored, leaves the views as they were, and each step is a fresh start's", () => {
  const graph = graphOf(listed(healthy));
  const before = seen(graph);
  for (const item of healthy) {
    const others = healthy.filter((each) => each !== item);
    const edited = forms.find(([first]) => first === item)?.at(-1) as Item;
    const steps: [SourceEvent, Item[]][] = [
      [remove(item), others],
      [put(item), healthy],
      [put(edited), [...others, edited]],
      [put(item), healthy],
    ];
    for (const [event, items] of steps) {
      graph.apply([event]);
      assert.deepEqual(seen(graph), fresh(items), `${event.type} ${item.resource} ${placeOf(item.object.metadata)}`);
    }
  }
  assert.deepEqual(seen(graph), before);
});

test("a change remakes only views that read what changed, and an equal result stops there", () => {
  const graph = graphOf(listed(healthy));
  const [users] = healthy as [Item];
  const applied = (item: Item) => {
    const { remade, changes } = graph.apply([put(item)]);
    return { remade: remade.toSorted(), changed: changes.map(({ view, key }) => `${view} ${key}`) };
  };
  assert.deepEqual(applied(slice("users", { name: "users-1" }, endpoints(8080, "10.0.0.7"))), {
    remade: ["view endpoints users.default"],
    changed: ["endpoints users.default"],
  });
  const labelled = { ...users.object, metadata: { ...users.object.metadata, resourceVersion: "labelled", labels: { team: "a" } } };
  assert.deepEqual(applied({ ...users, object: labelled }), { remade: ["view service users.default"], changed: [] });
  assert.deepEqual(applied(grant({ name: "more", namespace: "shop" }, "default")), { remade: [], changed: [] });
  assert.deepEqual(
    applied({ ...users, object: structuredClone(labelled) }),
    { remade: [], changed: [] },
    "a list that tells what is known",
  );
  const weights = { parentRefs: [to("users")], rules: [{ backendRefs: [backend("users", { weight: 8 }), backend("next")] }] };
  assert.deepEqual(applied(httpRoute({ name: "split" }, weights)), {
    remade: [
      "view httpRoute default/split",
      "view routes users.default:80",
      "view routes users.default:80@shop",
      "view routes users.default:81",
    ],
    changed: ["httpRoute default/split", "routes users.default:80"],
  });
});

test("findings change without the value, and what reads the value is not made anew", () => {
  const graph = graphOf(listed(healthy));
  const udp = service(
    { name: "users" },
    {
      ports: [
        { port: 80, name: "a" },
        { port: 53, name: "b", protocol: "UDP" },
      ],
    },
  );
  graph.apply([put(service({ name: "users" }, { ports: [{ port: 80, name: "a" }] }))]);
  const { remade, changes } = graph.apply([put(udp)]);
  assert.deepEqual(remade, ["view service users.default"]);
  assert.deepEqual(
    changes.map(({ view, before, after }) => [view, before.version === after.version, after.findings.length]),
    [["service", true, 1]],
  );
});

test("views that nobody wants any more, and those that only they read, are forgotten", () => {
  const graph = new Graph(views);
  graph.apply(listed(healthy));
  const routes = graph.want(routesView, "users.default:80");
  assert.equal(graph.want(routesView, "users.default:80"), routes);
  const held = graph.size;
  graph.want(endpointsView, "bill.shop");
  graph.release(endpointsView, "bill.shop");
  assert.equal(graph.size, held);
  graph.release(routesView, "users.default:80");
  assert.equal(graph.size, held);
  graph.release(routesView, "users.default:80");
  graph.release(routesView, "users.default:80");
  assert.equal(graph.size, 0);
  assert.deepEqual(graph.apply(healthy.map(remove)).remade, []);
});

test("a view that others read stays when nobody else wants it any more, and goes once they read it no more", () => {
  const graph = new Graph(views);
  graph.apply(listed(healthy));
  graph.want(routesView, "users.default:80");
  const held = graph.size;
  graph.want(serviceView, "next.default");
  graph.release(serviceView, "next.default");
  assert.equal(graph.size, held);
  const gone = graph.apply([remove(service({ name: "next" }))]);
  assert.ok(gone.changes.some(({ view, key }) => view === "routes" && key === "users.default:80"));
  graph.apply([put(httpRoute({ name: "split" }, { parentRefs: [to("users")], rules: [{ backendRefs: [backend("users")] }] }))]);
  assert.equal(graph.size, held - 1);
});

test("a view that throws keeps what it made, holds up no other, and is made again when what it read changes", () => {
  const fragile: View<string> = {
    name: "fragile",
    make(reader, key) {
      const object = reader.get({ resource: resources.services, namespace: "default", name: key });
      if (object?.metadata.generation === 2) throw new Error("generation 2");
      return { value: String(object?.metadata.generation), findings: [] };
    },
  };
  const graph = new Graph([fragile, ...views]);
  graph.want(fragile, "users");
  graph.want(serviceView, "users.default");
  graph.apply([put(service({ name: "users" }))]);
  const second = graph.apply([put(service({ name: "users", generation: 2 }, { ports: [{ port: 82 }] }))]);
  assert.deepEqual(
    second.failures.map(({ view, key, error }) => [view, key, String(error)]),
    [["fragile", "users", "Error: generation 2"]],
  );
  assert.deepEqual(
    second.changes.map(({ view }) => view),
    ["service"],
  );
  assert.equal(graph.want(fragile, "users").value, "1");
  graph.apply([put(service({ name: "users", generation: 3 }))]);
  assert.equal(graph.want(fragile, "users").value, "3");
  graph.apply([put(service({ name: "other", generation: 2 }))]);
  const { size } = graph;
  assert.throws(() => graph.want(fragile, "other"), /generation 2/);
  assert.equal(graph.size, size);
});

test("a view reads those before it, and no other", () => {
  const backwards: View<unknown> = {
    name: "backwards",
    make: (reader) => ({ value: reader.view(serviceView, "users.default"), findings: [] }),
  };
  assert.throws(() => new Graph([backwards, serviceView]).want(backwards, ""), /backwards read service, which is not before it/);
  assert.throws(() => new Graph([backwards]).want(serviceView, "users.default"), /service is not among/);
});

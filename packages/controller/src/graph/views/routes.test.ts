import assert from "node:assert/strict";
import { test } from "node:test";
import { inShort, made } from "../testing/make.ts";
import { grant, grpcRoute, httpRoute, type Item, service, to } from "../testing/objects.ts";
import { grpcRouteView } from "./grpc-route.ts";
import { httpRouteView } from "./http-route.ts";
import { routesView } from "./routes.ts";

const mesh = [
  service(
    { name: "users" },
    {
      ports: [
        { port: 80, name: "web" },
        { port: 90, name: "admin" },
      ],
    },
  ),
  service({ name: "next" }),
  service({ name: "bill", namespace: "shop" }),
];
const ref = (name: string, more: object = {}) => ({ name, port: 80, ...more });
const route = (parentRefs: object[], rules: object[] = [{ backendRefs: [ref("users")] }]) =>
  httpRoute({ name: "r" }, { parentRefs, rules });
const routes = (items: readonly Item[], key = "users.default:80") => made([...mesh, ...items], routesView, key).value;
/** The action of a route's only rule, and what was found. */
function only(rule: object, ...more: Item[]) {
  const items = [route([to("users")], [rule]), ...more];
  return { action: routes(items)?.routes[0]?.action, findings: inShort(made([...mesh, ...items], httpRouteView, "default/r")) };
}
const share = (service: string, weight: number) => ({ weight, to: { service, port: 80, protocol: undefined, edits: {} } });

test("a Service without routes has none: requests go to the Service itself", () => assert.equal(routes([]), undefined));

test("a route is for all ports of its parent, or the one that port or sectionName says", () => {
  const cases: [parent: object, ports: number[], reason: string[]][] = [
    [to("users"), [80, 90], []],
    [to("users", { port: 90 }), [90], []],
    [to("users", { sectionName: "web" }), [80], []],
    [to("users", { sectionName: "web", port: 80 }), [80], []],
    [to("users", { sectionName: "web", port: 90 }), [], ["spec.parentRefs[0] NoMatchingParent Accepted"]],
    [to("users", { port: 91 }), [], ["spec.parentRefs[0] NoMatchingParent Accepted"]],
    [to("gone"), [], ["spec.parentRefs[0] NoMatchingParent Accepted"]],
    [{ name: "users" }, [], []],
  ];
  for (const [parent, ports, reasons] of cases) {
    const attached = [80, 90].filter((port) => routes([route([parent])], `users.default:${port}`) !== undefined);
    const found = inShort(made([...mesh, route([parent])], httpRouteView, "default/r"));
    assert.deepEqual([attached, found], [ports, reasons], JSON.stringify(parent));
  }
});

test("requests are shared out by weight, and a backend without weight gets none", () => {
  const backendRefs = [ref("users", { weight: 95 }), ref("next", { weight: 5 }), ref("users", { weight: 0 })];
  assert.deepEqual(only({ backendRefs }), {
    action: { to: [share("users.default", 95), share("next.default", 5)], edits: {} },
    findings: [],
  });
});

test("a backend that cannot be called has its share answered with 500, and the reason is Gateway API's", () => {
  const cases: [backend: object, reason: string][] = [
    [ref("gone"), "BackendNotFound"],
    [ref("users", { port: 81 }), "BackendNotFound"],
    [ref("bill", { namespace: "shop" }), "RefNotPermitted"],
    [ref("gone", { namespace: "shop" }), "RefNotPermitted"],
    [{ group: "example.com", kind: "Bucket", name: "b" }, "InvalidKind"],
  ];
  for (const [backend, reason] of cases) {
    const backendRefs = [ref("users", { weight: 3 }), { ...backend, weight: 1 }];
    assert.deepEqual(only({ backendRefs }), {
      action: { to: [share("users.default", 3), { weight: 1, to: { reason } }], edits: {} },
      findings: [`spec.rules[0].backendRefs[1] ${reason} ResolvedRefs`],
    });
  }
  const [finding] = made(
    [...mesh, route([to("users")], [{ backendRefs: [ref("gone"), ref("users")] }])],
    httpRouteView,
    "default/r",
  ).findings;
  assert.equal(finding?.message, "There is no Service gone.default. 1 of 2 requests are answered with 500.");
});

test("a ReferenceGrant in the backend's namespace allows it, for the kind, namespace and name that it says", () => {
  const rule = { backendRefs: [ref("bill", { namespace: "shop" })] };
  const allowed = { action: { to: [share("bill.shop", 1)], edits: {} }, findings: [] };
  assert.deepEqual(only(rule, grant({ name: "g", namespace: "shop" }, "default")), allowed);
  assert.deepEqual(only(rule, grant({ name: "g", namespace: "shop" }, "default", { name: "bill" })), allowed);
  for (const useless of [
    grant({ name: "g", namespace: "shop" }, "other"),
    grant({ name: "g", namespace: "shop" }, "default", { name: "users" }),
    grant({ name: "g", namespace: "shop" }, "default", { kind: "Secret" }),
    grant({ name: "g" }, "default"),
  ])
    assert.deepEqual(only(rule, useless).findings, ["spec.rules[0].backendRefs[0] RefNotPermitted ResolvedRefs"]);
});

test("a ReferenceGrant for HTTPRoutes is none for GRPCRoutes", () => {
  const rules = [{ backendRefs: [ref("bill", { namespace: "shop" })] }];
  const items = [grpcRoute({ name: "calls" }, { parentRefs: [to("users")], rules }), grant({ name: "g", namespace: "shop" }, "default")];
  assert.deepEqual(inShort(made([...mesh, ...items], grpcRouteView, "default/calls")), [
    "spec.rules[0].backendRefs[0] RefNotPermitted ResolvedRefs",
  ]);
});

test("without backends, and with no weight among them, requests are answered with 500", () => {
  const answered = { action: { to: { reason: "NoBackends" }, edits: {} }, findings: ["spec.rules[0].backendRefs NoBackends"] };
  assert.deepEqual(only({}), answered);
  assert.deepEqual(only({ backendRefs: [ref("users", { weight: 0 }), ref("next", { weight: 0 })] }), answered);
});

test("fields are changed for a rule and for a backend; that times are not kept yet is said", () => {
  const modifier = { set: [{ name: "X-Set", value: "1" }], add: [{ name: "X-Add", value: "2" }], remove: ["X-Gone"] };
  const changes = { remove: ["x-gone"], set: [{ name: "x-set", value: "1" }], add: [{ name: "x-add", value: "2" }] };
  const request = { type: "RequestHeaderModifier", requestHeaderModifier: modifier };
  const response = { type: "ResponseHeaderModifier", responseHeaderModifier: modifier };
  const rule = {
    filters: [request, response],
    backendRefs: [ref("users", { filters: [response] })],
    timeouts: { request: "1m30s", backendRequest: "500ms" },
  };
  const { action, findings } = only(rule);
  assert.deepEqual(findings, ["spec.rules[0].timeouts NotYet"]);
  assert.deepEqual(action, {
    to: [{ weight: 1, to: { service: "users.default", port: 80, protocol: undefined, edits: { response: changes } } }],
    edits: { request: changes, response: changes },
  });
});

test("what is not supported yet is said: a match drops its rule, a filter has its requests answered with 500", () => {
  const fine = { matches: [{ path: { value: "/fine" } }], backendRefs: [ref("users")] };
  const mirror = { type: "RequestMirror", requestMirror: { backendRef: ref("next") } };
  const regular = { type: "RegularExpression", name: "x", value: ".*" };
  const cases: [rule: object, finding: string, action: object | undefined][] = [
    [{ matches: [{ path: { type: "RegularExpression", value: "/.*" } }] }, "spec.rules[0].matches[0].path", undefined],
    [{ matches: [{}, { headers: [regular] }] }, "spec.rules[0].matches[1].headers[0]", undefined],
    [{ matches: [{ queryParams: [regular] }] }, "spec.rules[0].matches[0].queryParams[0]", undefined],
    [{ filters: [mirror] }, "spec.rules[0].filters", { reason: "UnsupportedValue" }],
    [
      { backendRefs: [ref("users", { filters: [mirror] })] },
      "spec.rules[0].backendRefs[0]",
      [{ weight: 1, to: { reason: "UnsupportedValue" } }],
    ],
  ];
  for (const [rule, at, action] of cases) {
    const items = [route([to("users")], [{ backendRefs: [ref("users")], ...rule }, fine])];
    const found = inShort(made([...mesh, ...items], httpRouteView, "default/r"));
    assert.deepEqual(
      [found, routes(items)?.routes.find((each) => each.rule === 0)?.action.to],
      [[`${at} UnsupportedValue PartiallyInvalid`], action],
    );
    assert.deepEqual(routes(items)?.routes.find((each) => each.rule === 1)?.action.to, [share("users.default", 1)]);
  }
});

test("hostnames are ignored for Services, and that is said", () => {
  const hosted = httpRoute(
    { name: "r" },
    { parentRefs: [to("users")], hostnames: ["a.example.com"], rules: [{ backendRefs: [ref("users")] }] },
  );
  assert.equal(routes([hosted])?.routes.length, 1);
  assert.deepEqual(inShort(made([...mesh, hosted], httpRouteView, "default/r")), ["spec.hostnames Ignored"]);
});

test("a route of which no rule can be carried out is not in force", () => {
  const items = [route([to("users")], [{ filters: [{ type: "URLRewrite", urlRewrite: { hostname: "a" } }], backendRefs: [ref("users")] }])];
  assert.equal(routes(items), undefined);
  assert.ok(inShort(made([...mesh, ...items], httpRouteView, "default/r")).includes("spec.rules UnsupportedValue Accepted"));
});

test("a route from another namespace is for callers there, in place of the service's own, and may send requests back to its parent", () => {
  const own = route([to("users")]);
  const spec = {
    parentRefs: [to("users", { namespace: "default", port: 80 })],
    rules: [{ backendRefs: [ref("users", { namespace: "default" })] }],
  };
  const theirs = httpRoute({ name: "theirs", namespace: "shop" }, spec);
  const items = [own, theirs];
  const of = (key: string) => routes(items, key)?.routes.map((each) => each.route);
  assert.deepEqual(
    [of("users.default:80"), of("users.default:80@shop"), of("users.default:90@shop")],
    [["default/r"], ["shop/theirs"], undefined],
  );
  assert.deepEqual(inShort(made([...mesh, ...items], httpRouteView, "shop/theirs")), []);
});

test("a port that a GRPCRoute has is no HTTPRoute's, among routes of one namespace", () => {
  const calls = grpcRoute({ name: "calls" }, { parentRefs: [to("users", { port: 80 })], rules: [{ backendRefs: [ref("next")] }] });
  const both = [route([to("users")]), calls];
  assert.deepEqual([routes(both)?.kind, routes(both, "users.default:90")?.kind], ["GRPCRoute", "HTTPRoute"]);
  assert.deepEqual(inShort(made([...mesh, ...both], httpRouteView, "default/r")), ["spec.parentRefs[0] Conflicted"]);
  const same = [route([to("users", { port: 80 })]), calls];
  assert.deepEqual(inShort(made([...mesh, ...same], httpRouteView, "default/r")), ["spec.parentRefs[0] Conflicted Accepted"]);
  const theirs = grpcRoute(
    { name: "calls", namespace: "shop" },
    { parentRefs: [to("users", { namespace: "default" })], rules: [{ backendRefs: [ref("bill")] }] },
  );
  assert.equal(routes([route([to("users")]), theirs])?.kind, "HTTPRoute");
});

test("a call matches by service and method, by one of them, or always", () => {
  const matches = [{ method: { service: "a.B", method: "Get" } }, { method: { service: "a.B" } }, { method: { method: "Get" } }, {}];
  const calls = grpcRoute({ name: "calls" }, { parentRefs: [to("users")], rules: [{ matches, backendRefs: [ref("next")] }] });
  assert.deepEqual(
    routes([calls])?.routes.map(({ match }) => match.rpc),
    [{ service: "a.B", method: "Get" }, { service: "a.B" }, { method: "Get" }, {}],
  );
  const regular = { method: { type: "RegularExpression", service: "a.*" } };
  const some = grpcRoute({ name: "calls" }, { parentRefs: [to("users")], rules: [{ matches: [regular] }, { backendRefs: [ref("next")] }] });
  assert.ok(
    inShort(made([...mesh, some], grpcRouteView, "default/calls")).includes(
      "spec.rules[0].matches[0].method[0] UnsupportedValue PartiallyInvalid",
    ),
  );
});

import assert from "node:assert/strict";
import { test } from "node:test";
import type { DescribedWorkload, Edge, HeldEndpoint, HeldService, SidecarDescription, SidecarError, Why } from "@weft/api/light";
import { whyLines } from "../commands/why.ts";
import type { Colour } from "../terminal.ts";
import { explain } from "./findings.ts";

const nowMs = Date.parse("2026-11-21T10:00:00Z");
const identity = (service: string) => `spiffe://weft.local/ns/default/sa/${service}`;

const endpoint = (more: Partial<HeldEndpoint> = {}): HeldEndpoint => ({
  id: "w-users",
  address: "127.0.0.1:30000",
  identity: identity("users"),
  state: "answering",
  pending: 0,
  latencyMs: 1.2,
  failures: 0,
  connections: 1,
  lastError: null,
  answeredMsAgo: 100,
  ...more,
});

const held = (more: Partial<HeldService> = {}): HeldService => ({
  alias: "users",
  name: "users.default",
  version: "v7",
  virtualAddress: "198.18.0.2",
  ports: [{ port: 80 }],
  learned: [],
  endpoints: [endpoint()],
  routes: [],
  ...more,
});

const description = (more: Partial<SidecarDescription> = {}): SidecarDescription => ({
  version: "0.1.0",
  identity: identity("x"),
  certificateNotAfter: nowMs / 1000 + 3600,
  services: [],
  ports: [],
  errors: [],
  ...more,
});

const workload = (service: string, more: Partial<DescribedWorkload> = {}): DescribedWorkload => ({
  id: `w-${service}`,
  service,
  namespace: "default",
  address: "198.19.0.1",
  identity: identity(service),
  state: "live",
  registeredAt: "2026-11-21T09:00:00Z",
  command: ["node", `${service}.js`],
  pid: 1,
  programPid: 2,
  declaredPorts: [],
  ports: [{ servicePort: 80, targetPort: 8080 }],
  listening: [8080],
  redirection: "namespace",
  redirectionReason: "",
  published: [],
  sidecar: null,
  restarts: 0,
  lastEnd: null,
  description: description(),
  silence: null,
  ...more,
});

const offered = {
  id: "w-users",
  address: "127.0.0.1",
  inboundPort: 30000,
  identity: identity("users"),
  ports: [{ servicePort: 80, targetPort: 8080 }],
};
const service = {
  name: "users",
  namespace: "default",
  virtualAddress: "198.18.0.2",
  ports: [{ port: 80 }],
  endpoints: [offered],
  workloads: 1,
};

/** A healthy pair, but for what a test changes. */
function why({
  from = {},
  to = {},
  ...more
}: { from?: Partial<Why["from"]>; to?: Partial<Why["to"]> } & Partial<Omit<Why, "from" | "to">> = {}): Why {
  const web = workload("web", { description: description({ services: [held()] }) });
  return {
    nowMs,
    from: { name: "web.default", service: null, workloads: [web], workloadCount: 1, nearest: null, ...from },
    to: { name: "users.default", service, workloads: [workload("users")], workloadCount: 1, nearest: null, ...to },
    version: "v7",
    edges: [],
    ...more,
  };
}

const calledBy = (more: Partial<DescribedWorkload>) =>
  why({ to: { service: { ...service, endpoints: [] }, workloads: [workload("users", more)] } });
const callerWith = (services: HeldService[], more: Partial<SidecarDescription> = {}) =>
  why({ from: { workloads: [workload("web", { description: description({ services, ...more }) })] } });
const edge = (more: Partial<Edge>) =>
  ({
    from: "web.default",
    to: "users.default",
    port: 80,
    protocol: "http1",
    secured: true,
    requests: 10,
    failures: 0,
    successRate: 1,
    errors: {},
    grpcStatuses: {},
    statusClasses: { 1: 0, 2: 10, 3: 0, 4: 0, 5: 0, none: 0 },
    latencyMs: { p50: 1, p95: 2, p99: 3, max: 4 },
    connections: { opened: 1, closed: 0, failed: 0, open: 1 },
    totals: { connections: { opened: 1 } },
    refusals: [],
    ...more,
  }) as Edge;

test("a healthy pair is called so, with the way of a request", () => {
  const { ok, verdict, findings, path } = explain(why({ edges: [edge({})] }));
  assert.deepEqual([ok, verdict], [true, "Calls from web to users work."]);
  assert.ok(
    findings.every(({ level }) => level === "ok"),
    JSON.stringify(findings),
  );
  assert.deepEqual(path, [
    "web (w-web) calls users:80",
    `its sidecar, as ${identity("web")}`,
    "mutual TLS http1 to 127.0.0.1:30000",
    `the sidecar of w-users, as ${identity("users")}`,
    "the program on port 8080",
  ]);
});

test("calls that were not made yet can succeed", () => {
  const { ok, verdict, findings } = explain(callerWith([]));
  assert.deepEqual([ok, verdict], [true, "Calls from web to users can succeed; there was none in the last minute."]);
  assert.ok(findings.some(({ what }) => what === "w-web never asked for users: its program has not looked the name up yet"));
});

for (const [name, facts, verdict] of [
  [
    "a name that is none",
    why({ to: { name: "usres.default", service: null, workloads: [], workloadCount: 0, nearest: "users.default" } }),
    'no service is called "usres"; did you mean "users"?',
  ],
  [
    "a program that does not listen",
    calledBy({ listening: [] }),
    "users has no endpoint in w-users: its program does not listen on port 8080.",
  ],
  ["a called whose sidecar starts still", calledBy({ state: "starting", listening: null }), "users has no endpoint."],
  [
    "a service whose instances are all gone",
    why({ to: { service: { ...service, endpoints: [] }, workloads: [], workloadCount: 0 } }),
    "users has no endpoint.",
  ],
  ["a caller that does not run", why({ from: { service, workloads: [], workloadCount: 0 } }), "no instance of web runs."],
  [
    "a caller whose sidecar is away",
    why({
      from: {
        workloads: [workload("web", { state: "away", description: null, silence: { code: "WEFT-C-SIDECAR-AWAY", message: "Away." } })],
      },
    }),
    "the sidecar of w-web lost its connection to the controller.",
  ],
  ["a certificate that is over", callerWith([held()], { certificateNotAfter: nowMs / 1000 - 1 }), "the certificate of w-web has expired."],
  ["a certificate that is not there", callerWith([held()], { identity: "" }), "the sidecar of w-web has no certificate yet."],
  [
    "an endpoint that is silent",
    callerWith([held({ endpoints: [endpoint({ state: "silent", answeredMsAgo: 4000 })] })]),
    "endpoint w-users has been silent for 4.00s.",
  ],
  [
    "an endpoint that cannot be reached",
    callerWith([held({ endpoints: [endpoint({ state: "unreachable" })] })]),
    "endpoint w-users cannot be reached.",
  ],
  ["a caller that knows no endpoint", callerWith([held({ endpoints: [], version: "v3" })]), "w-web knows no endpoint of users."],
  ["a caller that knows no such service", callerWith([held({ name: "", endpoints: [] })]), "w-web does not know that users exists."],
] as const) {
  test(`${name} is found, and what to do about it`, () => {
    const { ok, verdict: found, findings, path } = explain(facts);
    assert.equal(ok, false);
    assert.match(found, /^Calls from web to .* fail: /);
    assert.equal(found.replace(/^.*? fail: /, ""), verdict);
    const [first] = findings;
    assert.equal(first?.level, "problem");
    assert.ok(first.evidence.length > 0 && first.todo !== "");
    assert.deepEqual(path, []);
  });
}

test("trouble with one of several endpoints is noted, and calls can succeed", () => {
  const two = [endpoint(), endpoint({ id: "w-two", state: "silent", answeredMsAgo: 2000 })];
  const { ok, findings } = explain(callerWith([held({ endpoints: two })]));
  assert.equal(ok, true);
  assert.ok(
    findings.some(
      ({ level, what }) => level === "warning" && what === "endpoint w-two has been silent for 2.00s; the others get its calls",
    ),
  );
});

test("what one of several callers lacks is a warning", () => {
  const expired = workload("web", { id: "w-old", description: description({ certificateNotAfter: nowMs / 1000 - 1 }) });
  const { ok, findings } = explain(why({ from: { workloads: [...why().from.workloads, expired], workloadCount: 2 } }));
  assert.equal(ok, true);
  assert.ok(findings.some(({ level, what }) => level === "warning" && what === "the certificate of w-old has expired"));
});

test("a caller that is behind, errors of the last minute, failures, ports that are not served and calls in clear are noted", () => {
  const error: SidecarError = {
    code: "WEFT-P-CONNECT-FAILED",
    message: "users:80 refused",
    peer: "users.default",
    count: 3,
    lastMs: nowMs - 2000,
  };
  const facts = why({
    from: {
      workloads: [
        workload("web", { description: description({ services: [held({ version: "v5" })], errors: [error, { ...error, lastMs: 0 }] }) }),
      ],
    },
    edges: [
      edge({ failures: 5, successRate: 0.5, errors: { "WEFT-P-NO-ENDPOINT": 5 } }),
      edge({ port: 9999, failures: 10, successRate: 0, secured: false }),
    ],
  });
  const { ok, verdict, findings } = explain(facts);
  assert.deepEqual([ok, verdict], [true, "Calls from web to users work, with what is noted below."]);
  const warnings = findings.filter(({ level }) => level === "warning");
  assert.deepEqual(
    warnings.map(({ what }) => what),
    [
      "w-web had trouble with users in the last minute",
      "w-web is behind on users",
      "10 calls to port 80 in the last minute, of which 50.00 % succeeded",
      "web calls users on port 9999, which users does not serve",
      "10 calls to port 9999 in the last minute, and none succeeded",
      "calls to port 9999 go in clear",
    ],
  );
  assert.deepEqual(warnings[0]?.evidence, ["3 × users:80 refused (WEFT-P-CONNECT-FAILED), 2s ago"]);
});

test("calls that all failed are an answer, not a note", () => {
  const failing = edge({ failures: 10, successRate: 0 });
  const { ok, verdict } = explain(why({ edges: [failing] }));
  assert.deepEqual([ok, verdict], [false, "Calls from web to users fail: 10 calls to port 80 in the last minute, and none succeeded."]);
  const wrongPort = explain(why({ edges: [{ ...failing, port: 81 }] }));
  assert.equal(wrongPort.verdict, "Calls from web to users fail: web calls users on port 81, which users does not serve.");
  assert.equal(explain(why({ edges: [failing, edge({ port: 8080, requests: 0, failures: 0 })] })).ok, true);
});

test("a caller that ran to its end a moment ago did what it did: calls that succeeded are not called failing", () => {
  const ended = { service: null, workloads: [], workloadCount: 0 };
  const { ok, verdict, findings } = explain(why({ from: ended, edges: [edge({})] }));
  assert.deepEqual([ok, verdict], [true, "Calls from web to users worked in the last minute; no instance of web runs now."]);
  assert.deepEqual(
    findings.filter(({ level }) => level !== "ok"),
    [],
  );
  const failed = explain(why({ from: ended, edges: [edge({ failures: 10, successRate: 0 })] }));
  assert.deepEqual([failed.ok, /none succeeded\.$/.test(failed.verdict)], [false, true], failed.verdict);
  const long = explain(why({ from: ended, edges: [edge({ requests: 0, connections: { ...edge({}).connections, opened: 0 } })] }));
  assert.equal(long.ok, false, "what was longer ago says nothing of now");
});

test("answers of gRPC calls are shown by their own status, not by that of HTTP below it", () => {
  const calls = edge({
    failures: 4,
    successRate: 0.6,
    grpcStatuses: { 0: 3, 5: 3, 14: 1 },
    statusClasses: { 1: 0, 2: 9, 3: 0, 4: 0, 5: 0, none: 1 },
  });
  const found = explain(why({ edges: [calls] })).findings.find(({ what }) => what.startsWith("10 calls"));
  const expected = "Answers: 3 with gRPC OK, 3 with gRPC NOT_FOUND, 1 with gRPC UNAVAILABLE, 2 with 2xx, 1 without an answer.";
  assert.ok(found?.evidence[0]?.startsWith(expected), found?.evidence[0]);
});

test("a service that is gone and was called is not taken for a mistyped name", () => {
  const gone = { name: "users.default", service: null, workloads: [], workloadCount: 0, nearest: "user.default" };
  assert.equal(
    explain(why({ to: gone, edges: [edge({})] })).verdict,
    "Calls from web to users fail: users has no endpoint: none of its instances runs any more.",
  );
});

test("the verdict comes first, then what is wrong, and nothing reaches the terminal raw", () => {
  const plain = (_style: Colour, text: string) => text;
  const lines = whyLines(explain(calledBy({ listening: [9090], command: ["\x1b[2J"] })), plain);
  assert.deepEqual(lines.slice(0, 5), [
    "Calls from web to users fail: users has no endpoint in w-users: its program does not listen on port 8080.",
    "",
    "✗ users has no endpoint in w-users: its program does not listen on port 8080.",
    "    It listens on 9090. Started as: \\x1b[2J",
    "    -> Look at what the program says; if it listens on another port, start it with that one: `--port 80:PORT`.",
  ]);
});

test("callers without an identity come in by a sidecar of the called that has published a port", () => {
  const from = { name: "anonymous", service: null, workloads: [workload("users")], workloadCount: 1 };
  const { ok, verdict, path } = explain(why({ from, edges: [edge({ from: "anonymous" })] }));
  assert.deepEqual([ok, verdict], [true, "Calls from anonymous to users work."]);
  assert.deepEqual(path.slice(0, 2), ["anonymous calls users:80", "the sidecar of w-users, at a published port"]);
  const unpublished = explain(why({ from: { ...from, workloads: [], workloadCount: 0 } }));
  assert.match(unpublished.verdict, /^Calls from anonymous to users fail: nobody can call it without an identity/);
});

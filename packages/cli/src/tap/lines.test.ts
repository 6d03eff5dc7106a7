import assert from "node:assert/strict";
import { test } from "node:test";
import type { TapRequest } from "@weft/api/light";
import fc from "fast-check";
import { jsonLine } from "../commands/watch.ts";
import type { Colour } from "../terminal.ts";
import { requestLines } from "./lines.ts";

const paint = (_style: Colour, text: string) => text;
const meaning = (code: string) => (code === "WEFT-P-NO-ENDPOINT" ? "no instance of the service serves this port now" : undefined);

const request: TapRequest = {
  kind: "request",
  time: new Date(2026, 10, 21, 10, 0, 0, 123).toISOString(),
  side: "caller",
  workload: "w-1",
  from: "web.default",
  fromIdentity: "spiffe://weft.local/ns/default/sa/web",
  to: "users.team",
  toIdentity: "spiffe://weft.local/ns/team/sa/users",
  port: 80,
  route: "",
  endpoint: "w-2",
  protocol: "http1",
  method: "GET",
  authority: "users",
  path: "/a?b=1",
  status: 200,
  grpcStatus: null,
  error: "",
  attempts: 1,
  headLatencyMs: 0.84,
  latencyMs: 1.2,
  requestBytes: 0,
  responseBytes: 1234,
  tls: true,
};
const lines = (more: Partial<TapRequest> = {}, width = Number.POSITIVE_INFINITY) =>
  requestLines({ ...request, ...more }, { width, paint, meaning });

test("a request is a line: when, who, what, how it ended, how long it took, how much it carried", () => {
  assert.deepEqual(lines(), ["10:00:00.123  web -> users.team:80  GET /a?b=1  200  840µs/1.20ms  0B/1.23kB  mTLS"]);
});

test("the route that decided where a request went is named", () => {
  assert.match(lines({ route: "default/users-split" })[0] ?? "", / mTLS {2}route users-split$/);
  assert.match(lines({ route: "team/users" })[0] ?? "", / mTLS {2}route team\/users$/);
});

test("a sidecar's own answer names its reason", () => {
  const [line] = lines({ status: 503, error: "WEFT-P-NO-ENDPOINT", endpoint: "", tls: false, attempts: 0 });
  assert.match(line ?? "", / 503 .* {2}- {2}WEFT-P-NO-ENDPOINT: no instance of the service serves this port now$/);
});

test("gRPC statuses have their names, requests that were sent again their number, connections their end", () => {
  assert.match(lines({ grpcStatus: 14, attempts: 3 })[0] ?? "", / UNAVAILABLE .* 3 attempts$/);
  assert.match(lines({ grpcStatus: 99 })[0] ?? "", / status 99 /);
  assert.match(lines({ status: null, headLatencyMs: null })[0] ?? "", / no answer {2}1\.20ms /);
  assert.match(lines({ method: "", path: "", status: null, protocol: "tcp" })[0] ?? "", / tcp connection {2}closed /);
});

test("fields follow, those of the request and those of the response", () => {
  const fields = { requestFields: [{ name: "cookie", value: "(redacted)" }], responseFields: [{ name: "x", value: "\x1b[2J" }] };
  assert.deepEqual(lines(fields).slice(1), ["    > cookie: (redacted)", "    < x: \\x1b[2J"]);
});

test("a long path is cut to what the terminal has left", () => {
  const [line = ""] = lines({ path: `/${"x".repeat(60_000)}` }, 120);
  assert.equal(line.length, 120);
  assert.match(line, /x… {2}200 /);
  assert.ok((lines({ path: "/y".repeat(30_000) })[0] ?? "").length < 400, "also where there is no terminal");
});

test("nothing that a program sends reaches a terminal raw", () => {
  const text = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.constantFrom("\x1b]0;owned\x07", "\x9b2J", "\u202egpj", "a\r\nb", "<script>", "\u2028"),
  );
  const hostile = fc.record({ from: text, to: text, method: text, path: text, error: text, name: text, value: text });
  fc.assert(
    fc.property(hostile, fc.integer({ min: 1, max: 300 }), ({ name, value, ...more }, width) => {
      const fields = { requestFields: [{ name, value }], responseFields: [{ name, value }] };
      for (const line of lines({ ...more, ...fields }, width)) assert.doesNotMatch(line, /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
      const json = jsonLine({ ...request, ...more, ...fields });
      assert.doesNotMatch(json.slice(0, -1), /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
      assert.deepEqual(JSON.parse(json), JSON.parse(JSON.stringify({ ...request, ...more, ...fields })));
    }),
  );
});

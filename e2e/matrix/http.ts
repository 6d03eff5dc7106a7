import { createHash } from "node:crypto";
import { pattern } from "../parts/node/pattern.ts";

// HTTP between real programs: what is asked, by whom, of whom.

/** What a caller is told to send. */
export interface Request {
  /** GET unless told. */
  method?: string;
  path: string;
  fields?: Record<string, string>;
  /** Length of the body; its bytes are the pattern. */
  body?: number;
  /** The body's length is not told beforehand. */
  chunked?: boolean;
  /** Expect: 100-continue. */
  expect?: boolean;
  /** Sent so often, one after the other over one connection. */
  times?: number;
  /** ... and all but the first at once. */
  parallel?: boolean;
  /** Given up when there is no answer by then, milliseconds. */
  cancelAfterMs?: number;
  /** Sent again, for at most 5 s, until the answer is this text. */
  until?: string;
}

/** What a caller saw; what its library does not show is absent. */
export interface Answer {
  status?: number;
  version?: string;
  /** The body, up to 4000 bytes. */
  text?: string;
  length?: number;
  /** SHA-256 of the body, hexadecimal. */
  digest?: string;
  fields?: Record<string, string>;
  /** Statuses of the 1xx answers before. */
  interim?: number[];
  trailers?: Record<string, string>;
  /** Requests that went over a connection which was there already; in what is expected, at least so many. */
  reused?: number;
  /** Of `times` requests, those that got the same answer. */
  same?: number;
  error?: string;
}

/** What the answer must be. Texts and fields match when they are equal or when the expression fits. */
export interface Expected extends Omit<Answer, "text" | "fields" | "length"> {
  text?: string | RegExp;
  length?: number | ((length: number) => boolean);
  fields?: Record<string, string | RegExp>;
}

/** What not every caller can do: send a body of unknown length or Expect: 100-continue, follow redirects, take 103, use a connection twice. */
export type Ability = "chunked" | "expect" | "redirect" | "hints" | "reuse";

export interface Server {
  name: string;
  /** The versions of HTTP that it speaks. */
  versions: ("1" | "2")[];
}

export interface Client {
  name: string;
  version: "1" | "2";
  /** What it cannot do without a mesh either. */
  cannot?: Ability[];
}

export interface Case {
  what: string;
  /** Needed of the caller. */
  needs?: Ability;
  request: Request;
  expected: Expected;
  /** Where a server is asked otherwise; null where it cannot do it. */
  at?: Partial<Record<string, { request?: Partial<Request>; expected: Expected } | null>>;
}

export const servers: Server[] = [
  { name: "httpbin", versions: ["1"] },
  { name: "nginx", versions: ["1", "2"] },
  { name: "node", versions: ["1", "2"] },
  { name: "go", versions: ["1", "2"] },
  { name: "java", versions: ["1"] },
];

export const clients: Client[] = [
  { name: "curl", version: "1" },
  { name: "requests", version: "1", cannot: ["expect", "hints"] },
  { name: "fetch", version: "1", cannot: ["expect"] },
  { name: "go", version: "1" },
  { name: "java", version: "1" },
  { name: "java offering h2c", version: "1" },
  { name: "chromium", version: "1", cannot: ["chunked", "expect"] },
  // curl 7.88 ends an HTTP/2 connection of prior knowledge at its second request.
  { name: "curl", version: "2", cannot: ["chunked", "redirect", "reuse"] },
  { name: "go", version: "2" },
  { name: "node:http2", version: "2", cannot: ["redirect"] },
];

const megabyte = 1024 * 1024;
const digestOf = (length: number) => createHash("sha256").update(pattern(length)).digest("hex");
const whole = { status: 200, length: megabyte, digest: digestOf(megabyte) };
const noBody = null;

/** In their order; a case may rely on those before it. "{caller}" in a path is the caller's name. */
export const cases: Case[] = [
  {
    what: "GET with a query that holds escapes",
    request: { path: "/get?a=1&b=%20%C3%BC%2F" },
    expected: { status: 200, text: "GET /get?a=1&b=%20%C3%BC%2F" },
    at: { httpbin: { expected: { status: 200, text: /"b": " \\u00fc\/"/ } } },
  },
  {
    what: "a body of 1 MiB comes back",
    request: { method: "POST", path: "/echo", body: megabyte },
    expected: { ...whole, fields: { "x-length": /^(1048576)$/ } },
    at: {
      httpbin: { request: { path: "/post" }, expected: { status: 200, length: (length) => length > (megabyte * 4) / 3 } },
      nginx: { request: { method: "PUT", path: "/put/{caller}" }, expected: { status: 201 } },
    },
  },
  {
    what: "a body whose length is not told beforehand comes back",
    needs: "chunked",
    request: { method: "POST", path: "/echo", body: megabyte, chunked: true },
    expected: { ...whole, fields: { "x-length": "-1" } },
    at: {
      httpbin: { request: { path: "/post" }, expected: { status: 200, length: (length) => length > (megabyte * 4) / 3 } },
      nginx: { request: { method: "PUT", path: "/put/{caller}" }, expected: { status: 204 } },
    },
  },
  {
    what: "an empty body is a body",
    request: { method: "POST", path: "/echo", body: 0 },
    expected: { status: 200, length: 0 },
    at: { httpbin: { request: { path: "/post" }, expected: { status: 200, text: /"data": ""/ } }, nginx: null },
  },
  {
    what: "1 MiB is downloaded",
    request: { path: "/bytes/1048576" },
    expected: { ...whole, fields: { "content-length": "1048576" } },
    at: { httpbin: { request: { path: "/bytes/102400" }, expected: { status: 200, length: 102_400 } } },
  },
  {
    what: "an answer without a length comes whole",
    request: { path: "/stream/100" },
    expected: { status: 200, text: Array.from({ length: 100 }, (_, line) => `line ${line}\n`).join("") },
    at: { httpbin: { request: { path: "/stream/3" }, expected: { status: 200, text: /^(\{.*\}\n){3}$/ } }, nginx: null },
  },
  {
    what: "HEAD",
    request: { method: "HEAD", path: "/bytes/1048576" },
    expected: { status: 200, length: 0, fields: { "content-length": "1048576" } },
    at: { httpbin: { request: { path: "/base64/d2VmdA==" }, expected: { status: 200, length: 0, fields: { "content-length": "4" } } } },
  },
  {
    what: "gzip",
    request: { path: "/gzip", fields: { "accept-encoding": "gzip" } },
    expected: { status: 200, text: "zipped\n".repeat(100) },
    at: { httpbin: { expected: { status: 200, text: /"gzipped": true/ } } },
  },
  {
    what: "a redirect is followed",
    needs: "redirect",
    request: { path: "/redirect" },
    expected: { status: 200, text: "GET /get?redirected" },
    at: { httpbin: { request: { path: "/redirect-to?url=%2Fget%3Fredirected" }, expected: { status: 200, text: /\/get\?redirected/ } } },
  },
  {
    what: "a status of 418 with a body",
    request: { path: "/status/418" },
    expected: { status: 418, text: "status 418" },
    at: { httpbin: { expected: { status: 418, text: /teapot/ } } },
  },
  {
    what: "a status of 503 with a body",
    request: { path: "/status/503" },
    expected: { status: 503, text: "status 503" },
    at: { httpbin: { expected: { status: 503 } } },
  },
  {
    what: "204 without a body",
    request: { path: "/status/204" },
    expected: { status: 204, length: 0 },
    at: { java: noBody },
  },
  {
    what: "a field of 6000 characters goes and comes",
    request: { path: "/field", fields: { "x-large": "x".repeat(6000) } },
    expected: { status: 200, fields: { "x-large": "x".repeat(6000) } },
    at: { httpbin: { request: { path: "/headers" }, expected: { status: 200, length: (length) => length > 6000 } } },
  },
  {
    what: "20 requests over a connection",
    needs: "reuse",
    request: { path: "/get", times: 20 },
    expected: { status: 200, same: 20, reused: 19 },
    at: { httpbin: { request: { path: "/base64/d2VmdA==" }, expected: { status: 200, same: 20 } } },
  },
  {
    what: "20 requests at once",
    request: { path: "/bytes/10000", times: 20, parallel: true },
    expected: { status: 200, same: 20 },
    at: { httpbin: { request: { path: "/base64/d2VmdA==" }, expected: { status: 200, same: 20 } } },
  },
  {
    what: "Expect: 100-continue",
    needs: "expect",
    request: { method: "POST", path: "/echo", body: megabyte, expect: true },
    expected: { ...whole, interim: [100] },
    at: {
      httpbin: { request: { path: "/post" }, expected: { status: 200, interim: [100] } },
      nginx: { request: { method: "PUT", path: "/put/{caller}" }, expected: { status: 204 } },
    },
  },
  {
    what: "103 Early Hints",
    needs: "hints",
    request: { path: "/hints" },
    expected: { status: 200, text: "hinted", interim: [103] },
    at: { httpbin: null, nginx: null, java: null },
  },
  {
    what: "trailers",
    request: { path: "/trailers", fields: { te: "trailers" } },
    expected: { status: 200, text: "abc", trailers: { "x-sum": "3" } },
    at: { httpbin: null, nginx: null, java: null },
  },
  {
    what: "a caller gives up",
    request: { path: "/slow?{caller}", cancelAfterMs: 300 },
    expected: { error: "cancelled" },
    at: { httpbin: { request: { path: "/delay/1" }, expected: { error: "cancelled" } }, nginx: null, java: null },
  },
  {
    what: "the server sees that the caller gave up",
    request: { path: "/left?{caller}", until: "true" },
    expected: { status: 200, text: "true" },
    at: { httpbin: null, nginx: null, java: null },
  },
];

/** What a client asks of a server, in order. */
export function casesOf(client: Client, server: Server): { what: string; request: Request; expected: Expected }[] {
  return cases
    .filter(({ needs, at }) => !(needs && client.cannot?.includes(needs)) && at?.[server.name] !== null)
    .map(({ what, request, expected, at }) => {
      const other = at?.[server.name];
      const asked = { ...request, ...other?.request };
      const path = asked.path.replace("{caller}", `${client.name.replaceAll(/\W/g, "-")}-${client.version}`);
      return { what, request: { ...asked, path }, expected: other?.expected ?? expected };
    });
}

/** The pairs of which both speak the same version. */
export const pairs = servers.flatMap((server) =>
  clients.filter(({ version }) => server.versions.includes(version)).map((client) => ({ client, server })),
);

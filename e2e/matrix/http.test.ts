import assert from "node:assert/strict";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, type TestContext, test } from "node:test";
import { Mesh, need, until } from "@weft/testkit";
import { nginxCommand } from "../fixtures.ts";
import { pattern } from "../parts/node/pattern.ts";
import { type Answer, type Client, casesOf, type Expected, pairs, type Request, type Server, servers } from "./http.ts";
import { goPart, javaParts, nodePart, pythonPart } from "./parts.ts";

// HTTP between programs that know nothing of the mesh, each in its own namespace: see http.ts for who asks what.

let mesh: Mesh;
before(async () => {
  mesh = await Mesh.start();
});
after(() => mesh[Symbol.asyncDispose]());

/** nginx as the cases want it: HTTP/1.1 on 8000, HTTP/2 on 8001. */
function nginx(program: string): string[] {
  const files = join(mesh.folder, "files");
  mkdirSync(join(files, "bytes"), { recursive: true });
  mkdirSync(join(files, "put"));
  chmodSync(join(files, "put"), 0o777);
  writeFileSync(join(files, "bytes", "1048576"), pattern(1_048_576));
  writeFileSync(join(files, "bytes", "10000"), pattern(10_000));
  writeFileSync(join(files, "gzip"), "zipped\n".repeat(100));
  return nginxCommand(
    program,
    mesh.folder,
    `listen 8000; listen 8001 http2; root ${files}; default_type text/plain; client_max_body_size 10m; keepalive_requests 10000;
     location /get { return 200 "$request_method $request_uri"; }
     location /redirect { absolute_redirect off; return 302 /get?redirected; }
     location /status/418 { return 418 "status 418"; }
     location /status/503 { return 503 "status 503"; }
     location /status/204 { return 204; }
     location /field { add_header x-large $http_x_large; return 200 ""; }
     location /gzip { gzip on; gzip_min_length 1; }
     location /put/ { dav_methods PUT; create_full_put_path on; }`,
  );
}

/** What starts a server, from the programs that it needs. */
const starts: Record<string, (t: TestContext) => Promise<string[] | undefined>> = {
  httpbin: async (t) => {
    const parts = need(t, "gunicorn");
    return parts && [parts.gunicorn, "-b", "0.0.0.0:8000", "-k", "gthread", "--threads", "8", "httpbin:app"];
  },
  nginx: async (t) => {
    const parts = need(t, "nginx");
    return parts && nginx(parts.nginx);
  },
  node: async () => nodePart("http-serve", "8000", "8001"),
  go: async (t) => {
    const parts = need(t, "go");
    return parts && [await goPart(parts.go, "http"), "serve", "8000", "8001"];
  },
  java: async (t) => {
    const parts = need(t, "java", "javac");
    return parts && [parts.java, "-XX:TieredStopAtLevel=1", "-cp", await javaParts(parts.javac), "HttpServe", "8000"];
  },
};

const json = JSON.stringify;

/** A request as HttpCall.java takes it. */
function javaRequest({
  method = "GET",
  path,
  fields = {},
  body,
  chunked,
  expect,
  times,
  parallel,
  cancelAfterMs,
  until,
}: Request): string[] {
  const options = [
    chunked && "chunked",
    expect && "expect",
    parallel && "parallel",
    times !== undefined && `times=${times}`,
    cancelAfterMs !== undefined && `cancel=${cancelAfterMs}`,
    until !== undefined && `until=${until}`,
    fields["accept-encoding"],
    fields["x-large"] && `large=${fields["x-large"].length}`,
  ];
  return [method, path, String(body ?? "-"), options.filter(Boolean).join(",")];
}

/** What calls `base` with `requests`. */
const calls: Record<string, (t: TestContext, client: Client, base: string, requests: Request[]) => Promise<string[] | undefined>> = {
  curl: async (t, { version }, base, requests) => {
    const parts = need(t, "curl");
    return parts && nodePart("curl-call", parts.curl, version, base, json(requests));
  },
  requests: async (t, _, base, requests) => {
    const parts = need(t, "python-requests");
    return parts && [parts["python-requests"], pythonPart("requests_call"), base, json(requests)];
  },
  fetch: async (_, __, base, requests) => nodePart("fetch-call", base, json(requests)),
  "node:http2": async (_, __, base, requests) => nodePart("http2-call", base, json(requests)),
  go: async (t, { version }, base, requests) => {
    const parts = need(t, "go");
    return parts && [await goPart(parts.go, "http"), "call", version, base, json(requests)];
  },
  java: (t, _, base, requests) => java(t, "HTTP_1_1", base, requests),
  "java offering h2c": (t, _, base, requests) => java(t, "HTTP_2", base, requests),
  chromium: async (t, _, base, requests) => {
    const parts = need(t, "chromium");
    return parts && nodePart("chromium-call", parts.chromium, base, json(requests));
  },
};

async function java(t: TestContext, version: string, base: string, requests: Request[]): Promise<string[] | undefined> {
  const parts = need(t, "java", "javac");
  if (!parts) return undefined;
  const jvm = [parts.java, "-XX:TieredStopAtLevel=1", "-cp", await javaParts(parts.javac)];
  return [...jvm, "HttpCall", version, base, ...requests.flatMap(javaRequest)];
}

const callerName = ({ name }: Client) => `${name.replaceAll(/\W/g, "-")}-client`;

/** Compares what a caller can see. */
function check(answer: Answer, { text, length, fields, ...rest }: Expected): void {
  const said = json(answer, (_, value) => (typeof value === "string" && value.length > 300 ? `${value.slice(0, 300)}...` : value));
  if (rest.error === undefined) assert.equal(answer.error, undefined, said);
  for (const [name, value] of Object.entries(rest)) {
    const seen = answer[name as keyof Answer];
    if (name === "trailers")
      assert.ok(seen === undefined || includes(seen as Record<string, string>, value as Record<string, string>), said);
    else if (name === "interim") assert.deepEqual(seen ?? value, value, said);
    else if (name === "reused") assert.ok(seen === undefined || Number(seen) >= Number(value), said);
    else assert.deepEqual(seen, value, said);
  }
  if (typeof text === "string") assert.equal(answer.text, text);
  else if (text) assert.match(answer.text ?? "", text, said);
  if (typeof length === "function") assert.ok(length(answer.length ?? 0), said);
  else if (length !== undefined) assert.equal(answer.length, length, said);
  assert.ok(includes(answer.fields ?? {}, fields ?? {}), said);
}

const includes = (seen: Record<string, string>, wanted: Record<string, string | RegExp>) =>
  Object.entries(wanted).every(([name, value]) => (typeof value === "string" ? seen[name] === value : value.test(seen[name] ?? "")));

async function start(t: TestContext, server: Server): Promise<boolean> {
  const command = await starts[server.name]?.(t);
  if (!command) return false;
  await mesh.run(server.name, command, { options: ["--port", "8000", "--port", "8001"] });
  const ports = server.versions.map((version) => (version === "1" ? 8000 : 8001));
  await until(`${server.name} listens`, async () => {
    const service = (await mesh.api.services()).find(({ name }) => name === server.name);
    return ports.every((port) => service?.endpoints.some(({ ports }) => ports.some(({ servicePort }) => servicePort === port)));
  });
  return true;
}

for (const server of servers) {
  test(`${server.name} as server`, { timeout: 400_000 }, async (t) => {
    if (!(await start(t, server))) return;
    for (const { client } of pairs.filter((pair) => pair.server === server)) {
      await t.test(`${client.name} over HTTP/${client.version}`, async (t) => {
        const asked = casesOf(client, server);
        // The first port that a program is said to serve is also its service's port 80.
        const base = client.version === "1" ? `http://${server.name}` : `http://${server.name}:8001`;
        const command = await calls[client.name]?.(
          t,
          client,
          base,
          asked.map(({ request }) => request),
        );
        if (!command) return;
        const { code, stdout, stderr } = await mesh.call(callerName(client), command, { timeoutMs: 90_000 });
        assert.equal(code, 0, stderr);
        const answers: Answer[] = JSON.parse(stdout);
        assert.equal(answers.length, asked.length);
        for (const [index, { what, expected }] of asked.entries()) {
          await t.test(what, () => check(answers[index] ?? {}, expected));
        }
      });
    }
  });
}

test("weft edges names every caller, and that its calls were secured", { timeout: 30_000 }, async () => {
  const { stdout } = await mesh.weft(["edges", "-o", "json", "--window", "600s"]);
  const edges: { from: string; to: string; secured: boolean }[] = JSON.parse(stdout);
  const seen = new Set(edges.map(({ from, to, secured }) => `${from} ${to} ${secured}`));
  const started = pairs.filter(({ server }) => edges.some(({ to }) => to === `${server.name}.default`));
  const missing = started
    .map(({ client, server }) => `${callerName(client)}.default ${server.name}.default true`)
    .filter((edge) => !seen.has(edge));
  assert.deepEqual(missing, []);
});

import assert from "node:assert/strict";
import { dirname } from "node:path";
import { after, before, type TestContext, test } from "node:test";
import { type Member, Mesh, need, until } from "@weft/testkit";
import { fixture, nginxCommand } from "../fixtures.ts";
import { goPart, pythonPart } from "../matrix/parts.ts";
import { files, type Http2Message, type Message, read } from "./corpus.ts";

// Requests that are malformed, or that two servers could take for different things: the mesh refuses them, or all servers read them alike. No server reads anything
// that the client did not mean as a request of its own, or a claim to be somebody.

/** What a server took for a request. */
interface Reading {
  method: string;
  target: string;
  host?: string | null;
  body: string;
  /** Names of fields with a claim that the mesh must not pass. */
  forged: string[];
}

interface Server {
  name: string;
  http2: boolean;
  /** It ends the connection, with all that is on it, when a request of HTTP/2 has trailers. */
  refusesTrailers?: boolean;
  command: (t: TestContext) => Promise<string[] | undefined>;
}

const shell = (...commands: string[]) => ["sh", "-c", commands.join(" & ")];
const words = (command: string[]) => command.map((word) => `'${word}'`).join(" ");

/** A server of Python's that imports corpus_reader. */
function python(...args: string[]) {
  return async (t: TestContext) => {
    const parts = need(t, "python-requests");
    return (
      parts && ["env", `PYTHONPATH=${dirname(pythonPart("corpus_reader"))}`, "PYTHONDONTWRITEBYTECODE=1", parts["python-requests"], ...args]
    );
  };
}

const servers: Server[] = [
  {
    name: "nginx",
    http2: true,
    refusesTrailers: true,
    command: async (t) => {
      const parts = need(t, "nginx");
      const forward = `location / { proxy_pass http://127.0.0.1:9080; proxy_http_version 1.1; proxy_set_header Host $http_host; proxy_read_timeout 300; }`;
      const serve = `listen 8080; listen 8081 http2; client_max_body_size 0; ${forward}`;
      return parts && shell(words(fixture("corpus-reader", 9080, "127.0.0.1")), words(nginxCommand(parts.nginx, mesh.folder, serve)));
    },
  },
  { name: "node", http2: true, command: async () => fixture("corpus-reader", 8080) },
  {
    name: "go",
    http2: true,
    command: async (t) => {
      const parts = need(t, "go");
      return parts && [await goPart(parts.go, "corpus"), "serve", "8080"];
    },
  },
  {
    name: "gunicorn",
    http2: false,
    command: python("-m", "gunicorn", "--log-level", "critical", "-b", "0.0.0.0:8080", "corpus_reader:wsgi"),
  },
  {
    name: "hypercorn",
    http2: true,
    command: python("-m", "hypercorn", "--log-level", "critical", "-b", "0.0.0.0:8080", "corpus_reader:asgi"),
  },
  { name: "python", http2: false, command: python(pythonPart("corpus_reader"), "8080") },
];

/** Runs `work` for each at once, and fails with the first that failed once all have ended. */
async function each(servers: Server[], work: (server: Server) => Promise<void>): Promise<void> {
  const ended = await Promise.allSettled(servers.map(work));
  for (const one of ended) if (one.status === "rejected") throw one.reason;
}

let mesh: Mesh;
const members = new Map<string, Member>();
before(async () => {
  mesh = await Mesh.start();
});
after(() => mesh[Symbol.asyncDispose]());

async function start(t: TestContext, { name, command, http2 }: Server): Promise<Member | undefined> {
  const known = members.get(name);
  if (known) return known;
  const program = await command(t);
  if (!program) return undefined;
  const ports = ["--port", "80:8080", "--port", `81:${http2 && name !== "go" && name !== "hypercorn" ? 8081 : 8080}`];
  const member = await mesh.run(name, program, { options: [...ports, "--no-publish"] });
  members.set(name, member);
  return member;
}

/** A reading in one form: servers show an absolute target as it came, or without its host. */
function parse(line: string): Reading {
  const { method, target, host, body, forged }: Reading = JSON.parse(line);
  const own = ["http", "https"].map((scheme) => `${scheme}://${host}`).find((start) => target.startsWith(`${start}/`)) ?? "";
  // Hypercorn writes methods in capitals.
  return { method: method.toUpperCase(), target: target.slice(own.length), host: host ?? "", body, forged };
}

/** What the server read between /next of the message before and that of each message, apart from the well-formed request that followed each message. */
async function readings({ name, running }: Member, count: number, from = 0): Promise<Reading[][]> {
  const lines = () =>
    running.stdout
      .slice(from)
      .split("\n")
      .filter((line) => line.startsWith("{"));
  const isLast = (line: string) => line.includes(`"/next${count - 1}"`);
  await until(`${name} read the last message`, () => lines().some(isLast), { diagnose: () => running.describe() });
  const found: Reading[][] = [[]];
  for (const reading of lines().map(parse)) {
    if (reading.target.startsWith("/next")) found.push([]);
    else if (!["/hold", "/release"].includes(reading.target)) found.at(-1)?.push(reading);
  }
  return found;
}

const isFollowing = (reading: Reading, id: number) => reading.method === "GET" && reading.target === `/end${id}` && reading.body === "";

/** Compares what the servers read; every difference is told at once. A server that read more requests than the client got answers read some that the mesh did not see. */
function compare(
  t: TestContext,
  messages: { what: string; refused?: string }[],
  read: Map<string, Reading[][]>,
  answers: Map<string, number[]>,
): void {
  const faults: string[] = [];
  const passed = new Set<number>();
  for (const [id, { what, refused }] of messages.entries()) {
    const told = new Map<string, string[]>();
    for (const [server, all] of read) {
      const found = all[id] ?? [];
      const claims = found.filter(({ forged }) => forged.length > 0);
      if (claims.length > 0) faults.push(`${what}: ${server} got a claim: ${JSON.stringify(claims)}`);
      const following = found.filter((reading) => isFollowing(reading, id)).length;
      if (following > 1) faults.push(`${what}: ${server} read the request that followed ${following} times`);
      const others = found.filter((reading) => !isFollowing(reading, id)).map(({ forged: _, ...reading }) => reading);
      const answered = answers.get(server)?.[id] ?? 0;
      if (found.length > answered) faults.push(`${what}: ${server} read ${found.length} requests, of which the mesh answered ${answered}`);
      if (others.length === 0) continue;
      if (refused) faults.push(`${what}: ${server} read ${JSON.stringify(others)}`);
      passed.add(id);
      // A server that refuses one reads no more of the connection.
      const text = JSON.stringify(others).slice(0, -1);
      const known = [...told.keys()].find((known) => known.startsWith(text) || text.startsWith(known)) ?? text;
      const by = [...(told.get(known) ?? []), server];
      told.delete(known);
      told.set(known.length > text.length ? known : text, by);
    }
    if (told.size > 1)
      faults.push(`${what}: read in different ways:${[...told].map(([text, by]) => `\n    ${by.join(", ")}: ${text}`).join("")}`);
  }
  t.diagnostic(`${messages.length} messages at ${[...read.keys()].join(", ")}: ${messages.length - passed.size} reached no server`);
  assert.equal(faults.length, 0, `${faults.length} faults:\n${faults.join("\n")}`);
}

test("HTTP/1 requests are refused, or read alike", { timeout: 300_000 }, async (t) => {
  const messages = read<Message>(files.http1);
  const taken = new Map<string, Reading[][]>();
  const answers = new Map<string, number[]>();
  await each(servers, async (server) => {
    const member = await start(t, server);
    if (!member) return;
    const sent = await mesh.call(`to-${server.name}`, fixture("corpus-http1", files.http1, server.name, 80), { timeoutMs: 280_000 });
    assert.equal(sent.code, 0, `${server.name}: ${sent.stderr}`);
    const lines = sent.stdout.trim().split("\n");
    answers.set(
      server.name,
      lines.map((line): string => JSON.parse(line).answer).map((answer) => answer.match(/HTTP\/1\.1 [2-5]\d\d /g)?.length ?? 0),
    );
    taken.set(server.name, await readings(member, messages.length));
  });
  compare(t, messages, taken, answers);
});

test("HTTP/2 requests are refused, or read alike, and hold up nobody else", { timeout: 300_000 }, async (t) => {
  const messages = read<Http2Message>(files.http2);
  const taken = new Map<string, Reading[][]>();
  const answers = new Map<string, number[]>();
  const held: Record<string, unknown> = {};
  const capable = servers.filter(({ http2 }) => http2);
  await each(capable, async (server) => {
    const member = await start(t, server);
    if (!member) return;
    const from = member.running.stdout.length;
    const limits = server.refusesTrailers ? ["no-trailers"] : [];
    const sender = fixture("corpus-http2", files.http2, server.name, 81, ...limits);
    const sent = await mesh.call(`to2-${server.name}`, sender, { timeoutMs: 280_000 });
    assert.equal(sent.code, 0, `${server.name}: ${sent.stderr}`);
    const lines = sent.stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    held[server.name] = lines.at(-1).held;
    answers.set(
      server.name,
      lines.slice(0, -1).map(({ frames }) => new Set(frames.filter((frame: string) => frame.startsWith("HEADERS"))).size),
    );
    const sentAll = lines.slice(0, -1).filter(({ frames }) => frames.length > 0);
    const unrefused = sentAll.filter(({ id, frames }) => messages[id]?.refused && !frames.includes(`${messages[id].refused} 1`));
    assert.deepEqual(unrefused, [], `${server.name}: not refused`);
    const broken = lines.slice(0, -1).filter(({ next }) => next !== 200);
    assert.deepEqual(broken, [], `${server.name}: the well-behaved connection suffered`);
    taken.set(server.name, await readings(member, messages.length, from));
  });
  compare(t, messages, taken, answers);
  assert.deepEqual(held, Object.fromEntries([...taken.keys()].map((name) => [name, 200])));
});

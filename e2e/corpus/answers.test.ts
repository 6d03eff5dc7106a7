import assert from "node:assert/strict";
import { after, before, type TestContext, test } from "node:test";
import { Mesh, need } from "@weft/testkit";
import { fixture, nginxCommand } from "../fixtures.ts";
import { goPart, pythonPart } from "../matrix/parts.ts";
import { files, type Message, read } from "./corpus.ts";

// Answers that are malformed, or that two clients could take for different things: the mesh refuses them, or all clients read them alike, and none of them is taken for
// the answer to another request.

/** What a client took for an answer. */
interface Reading {
  id: number;
  path: "answer" | "end";
  status?: number;
  body?: string;
  /** The mesh's code, when it answered itself. */
  refused?: string;
  error?: string;
}

const messages = read<Message>(files.answers);
const url = "http://answering";
const count = String(messages.length);

let mesh: Mesh;
before(async () => {
  mesh = await Mesh.start();
  await mesh.run("answering", fixture("corpus-answering", files.answers, 8080), { options: ["--port", "80:8080", "--no-publish"] });
});
after(() => mesh[Symbol.asyncDispose]());

const clients: Record<string, (t: TestContext) => Promise<string[] | undefined>> = {
  node: async () => fixture("corpus-asking", url, count),
  curl: async (t) => {
    const parts = need(t, "curl");
    return parts && fixture("corpus-asking", url, count, parts.curl);
  },
  go: async (t) => {
    const parts = need(t, "go");
    return parts && [await goPart(parts.go, "corpus"), "call", url, count];
  },
  python: async (t) => {
    const parts = need(t, "python-requests");
    return parts && [parts["python-requests"], pythonPart("corpus_asking"), "answering", count];
  },
  nginx: async (t) => {
    const parts = need(t, "nginx");
    const serve = `listen 127.0.0.1:9080; location / { proxy_pass http://answering; proxy_http_version 1.1; proxy_next_upstream off; }`;
    const nginx = parts && nginxCommand(parts.nginx, mesh.folder, serve);
    const wait = "until curl -s -o /dev/null http://127.0.0.1:9080/ready; do :; done";
    return (
      nginx && ["sh", "-c", `${nginx.join(" ")} & ${wait}; ${fixture("corpus-asking", "http://127.0.0.1:9080", count).join(" ")}; kill $!`]
    );
  },
};

const own = (reading: Reading) => reading.body?.includes("<center>nginx") || reading.error !== undefined;

test("answers are refused, or read alike", { timeout: 300_000 }, async (t) => {
  const faults: string[] = [];
  const told = messages.map(() => new Map<string, string[]>());
  let refused = 0;
  for (const [name, command] of Object.entries(clients)) {
    const program = await command(t);
    if (!program) return;
    const { stdout, stderr } = await mesh.call(`by-${name}`, program, { timeoutMs: 200_000 });
    const readings = stdout
      .trim()
      .split("\n")
      .map((line): Reading => JSON.parse(line));
    assert.equal(readings.length, 2 * messages.length, `${name}: ${stderr}`);
    for (const reading of readings) {
      const { id, path, status, body } = reading;
      const what = messages[id]?.what;
      if (path === "end") {
        if (status !== 200 || body !== `/end${id}`)
          faults.push(`${what}: ${name} took this for the next answer: ${JSON.stringify(reading)}`);
      } else if (reading.refused) refused++;
      else if (!own(reading)) {
        const text = JSON.stringify({ status, body: body?.slice(0, 100) });
        told[id]?.set(text, [...(told[id].get(text) ?? []), name]);
      }
    }
  }
  for (const [id, readers] of told.entries()) {
    const ways = [...readers].map(([text, by]) => `\n    ${by.join(", ")}: ${text}`);
    if (readers.size > 1) faults.push(`${messages[id]?.what}: read in different ways:${ways.join("")}`);
  }
  t.diagnostic(
    `${messages.length} answers to ${Object.keys(clients).join(", ")}: ${refused} of ${messages.length * 5} refused by the mesh`,
  );
  assert.equal(faults.length, 0, `${faults.length} faults:\n${faults.join("\n")}`);
});

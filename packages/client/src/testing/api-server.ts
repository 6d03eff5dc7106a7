import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import type { TestContext } from "node:test";
import { statePaths } from "@weft/api";
import type { ApiObject } from "../objects.ts";

interface Event {
  revision: number;
  type: "ADDED" | "MODIFIED" | "DELETED";
  object: ApiObject;
}

/** Objects of one kind behind Kubernetes' API, as little of it as the client's tests need, with the troubles that a network has. */
export class ApiServer {
  readonly stateDir = mkdtempSync(join(tmpdir(), "weft-client-"));
  /** Every request, as `METHOD path`. */
  readonly calls: string[] = [];
  readonly #server = createServer((request, response) => void this.#serve(request, response));
  readonly #objects = new Map<string, ApiObject>();
  readonly #watches = new Set<ServerResponse>();
  #events: Event[] = [];
  #revision = 0;
  /** What the next request is answered with in place of what was asked. */
  next: { status: number; body: string } | undefined;

  static async start(t: TestContext): Promise<ApiServer> {
    const server = new ApiServer();
    t.after(() => server.#stop());
    await server.listen();
    return server;
  }

  async listen(): Promise<void> {
    this.#server.listen(statePaths(this.stateDir).apiSocket);
    await once(this.#server, "listening");
  }

  /** Ends every connection, and takes no other. */
  async close(): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, "close");
  }

  #stop(): void {
    this.#server.close();
    this.#server.closeAllConnections();
    rmSync(this.stateDir, { recursive: true });
  }

  get watches(): number {
    return this.#watches.size;
  }

  /** Breaks every watch off. */
  cut(): void {
    for (const watch of this.#watches) watch.destroy();
  }

  /** Forgets what happened so far. */
  compact(): void {
    this.#events = [];
  }

  put(name: string, spec: unknown = {}): ApiObject {
    this.#revision += 1;
    const before = this.#objects.get(name);
    const metadata = {
      uid: `u${this.#revision}`,
      creationTimestamp: "2026-01-01T00:00:00Z",
      ...before?.metadata,
      name,
      namespace: "default",
      resourceVersion: String(this.#revision),
    };
    const object = { apiVersion: "v1", kind: "Thing", metadata, spec };
    this.#objects.set(name, object);
    this.#tell({ revision: this.#revision, type: before === undefined ? "ADDED" : "MODIFIED", object });
    return object;
  }

  delete(name: string): void {
    this.#revision += 1;
    const object = this.#objects.get(name);
    if (object === undefined) throw new Error(`there is no ${name}`);
    this.#objects.delete(name);
    const metadata = { ...object.metadata, resourceVersion: String(this.#revision) };
    this.#tell({ revision: this.#revision, type: "DELETED", object: { ...object, metadata } });
  }

  #tell(event: Event): void {
    this.#events.push(event);
    for (const watch of this.#watches) watch.write(`${JSON.stringify(event)}\n`);
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = "", url = "" } = request;
    this.calls.push(`${method} ${url} ${await text(request)}`.trimEnd());
    const answer = (status: number, body: unknown) =>
      response.writeHead(status).end(typeof body === "string" ? body : JSON.stringify(body));
    if (this.next !== undefined) {
      const { status, body } = this.next;
      this.next = undefined;
      return void answer(status, body);
    }
    const { pathname, searchParams } = new URL(url, "http://api");
    const name = /\/things\/([^/]+)/.exec(pathname)?.[1];
    if (searchParams.has("watch")) return this.#watch(Number(searchParams.get("resourceVersion")), response);
    if (name === undefined)
      return void answer(200, { items: [...this.#objects.values()], metadata: { resourceVersion: String(this.#revision) } });
    const object = this.#objects.get(name);
    if (object !== undefined) answer(200, object);
    else answer(404, { kind: "Status", reason: "NotFound", message: `things "${name}" not found`, code: 404 });
  }

  #watch(from: number, response: ServerResponse): void {
    response.writeHead(200);
    response.flushHeaders();
    const oldest = this.#events[0]?.revision ?? this.#revision + 1;
    if (from + 1 < oldest) {
      const object = { kind: "Status", reason: "Expired", message: "too old resource version", code: 410 };
      return void response.end(`${JSON.stringify({ type: "ERROR", object })}\n`);
    }
    for (const event of this.#events.filter(({ revision }) => revision > from)) response.write(`${JSON.stringify(event)}\n`);
    this.#watches.add(response);
    response.once("close", () => this.#watches.delete(response));
  }
}

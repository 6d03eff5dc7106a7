import type { ServerResponse } from "node:http";
import { launchedSchema, registerAgainSchema, registerEndpointSchema, registerWorkloadSchema, type WeftError, weftError } from "@weft/api";
import type { z } from "zod";
import { checks } from "../checks/checks.ts";
import { collect } from "../checks/facts.ts";
import type { Access } from "./access.ts";
import { serveBackup } from "./backup.ts";
import type { LiveFeed } from "./live.ts";
import type { Logins } from "./logins.ts";
import { publicStatus } from "./public.ts";
import { statQuery, tapQuery, whyQuery, windowOf } from "./query.ts";
import type { ApiServices } from "./services.ts";
import type { Snapshot } from "./snapshot.ts";
import { serveTapping } from "./tapping.ts";
import { explain } from "./why.ts";

/** A call, as its route sees it. */
interface Call {
  /** The part of the path that names one thing; empty where there is none. */
  id: string;
  query: URLSearchParams;
  body(): Promise<unknown>;
  /** The body as it is, of at most `maxBytes`. */
  text(maxBytes: number): Promise<string>;
  response: ServerResponse;
}

type Handler = (call: Call) => void | Promise<void>;

/**
 * Who calls: the user whose state directory it is, on api.sock, or a stranger: anybody who reaches the page's port, every other user of this machine
 * and every program of theirs included.
 */
export type Who = "user" | "stranger";

/** What a call does for each of those who may make it. What a stranger is answered is written for strangers; without it, they are refused. */
interface Route {
  user: Handler;
  stranger?: Handler;
}

const maxCodeBytes = 1024;

/** Routes by path, in which "*" stands for an id, and method. */
export type Routes = Record<string, Record<string, Route>>;

/** What calls of the HTTP API work on. */
export interface RouteServices extends ApiServices {
  access: Access;
  logins: Logins;
  pageUrl(): string;
}

/** Every call of the HTTP API. */
export function createRoutes(services: RouteServices, snapshot: Snapshot, live: Record<Who, LiveFeed>): Routes {
  const { mesh, tokens, log, access, logins, pageUrl, shutdown } = services;
  const enter: Handler = async ({ text, response }) => sendJson(response, { token: logins.enter(await text(maxCodeBytes)) });
  return {
    "/status": {
      GET: {
        user: ({ response }) => sendJson(response, snapshot.status()),
        stranger: ({ response }) => sendJson(response, publicStatus(snapshot.status())),
      },
    },
    "/services": { GET: { user: ({ response }) => sendJson(response, snapshot.services()) } },
    "/workloads": {
      GET: { user: ({ response }) => sendJson(response, snapshot.workloads()) },
      POST: {
        user: async ({ body, response }) => {
          const registered = mesh.register(parse(registerWorkloadSchema, await body()));
          log.info({ workload: registered.id, service: registered.service, namespace: registered.namespace }, "workload registered");
          sendJson(response, registered, 201);
        },
      },
    },
    "/workloads/*": {
      PUT: {
        user: async ({ id, body, response }) => {
          if (!/^w-[0-9a-f]{1,16}$/.test(id))
            throw weftError("WEFT-C-BODY-INVALID", `${JSON.stringify(id.slice(0, 50))} is no workload's id.`);
          sendJson(response, mesh.registerAgain(id, parse(registerAgainSchema, await body())));
        },
      },
      DELETE: {
        user: ({ id, query, response }) => {
          if (query.get("ended") === "true") mesh.remove(id, "its program ended");
          else mesh.revoke(id);
          sendNothing(response);
        },
      },
    },
    "/workloads/*/token": {
      POST: {
        user: ({ id, response }) => {
          send(response, 200, "text/plain", tokens.issue(mesh.required(id).record.id));
        },
      },
    },
    "/workloads/*/launched": {
      POST: {
        user: async ({ id, body, response }) => {
          mesh.launched(id, parse(launchedSchema, await body()));
          sendNothing(response);
        },
      },
    },
    "/endpoints": {
      POST: {
        user: async ({ body, response }) => sendJson(response, { id: mesh.addEndpoint(parse(registerEndpointSchema, await body())) }, 201),
      },
    },
    "/endpoints/*": {
      DELETE: {
        user: ({ id, response }) => {
          mesh.removeEndpoint(id);
          sendNothing(response);
        },
      },
    },
    "/stat": { GET: { user: async ({ query, response }) => sendJson(response, await snapshot.stat(...statQuery(query))) } },
    "/edges": { GET: { user: async ({ query, response }) => sendJson(response, await snapshot.edges(windowOf(query))) } },
    "/checks": { GET: { user: async ({ response }) => sendJson(response, checks(await collect(services))) } },
    "/tap": { GET: { user: ({ query, response }) => serveTapping(services, tapQuery(query), response) } },
    "/why": { GET: { user: async ({ query, response }) => sendJson(response, await explain(services, snapshot, whyQuery(query))) } },
    "/backup": { GET: { user: ({ response }) => serveBackup(services, response) } },
    "/live": {
      GET: {
        user: ({ response }) => live.user.add(response),
        stranger: ({ response }) => live.stranger.add(response),
      },
    },
    "/access": {
      POST: { user: async ({ response }) => sendJson(response, await access.grant()) },
      DELETE: {
        user: async ({ response }) => {
          await access.revoke();
          sendNothing(response);
        },
      },
    },
    "/login": { POST: { user: ({ response }) => sendJson(response, { url: `${pageUrl()}#login=${logins.invite()}` }) } },
    "/session": { POST: { user: enter, stranger: enter } },
    "/shutdown": {
      POST: {
        user: ({ response }) => {
          response.once("close", shutdown);
          response.writeHead(202, { connection: "close", "content-length": 0 }).end();
        },
      },
    },
  };
}

/** The route of a path below the API's prefix, which is compared as it was sent. */
export function findRoute(routes: Routes, method: string | undefined, path: string): { route: Route; id: string } {
  const [, collection = "", id, action] = path.split("/", 5);
  const pattern = ["", collection, id ? "*" : id, action].filter((part) => part !== undefined).join("/");
  const methods = Object.hasOwn(routes, pattern) && path.split("/").length <= 4 ? routes[pattern] : undefined;
  if (methods === undefined) throw weftError("WEFT-C-NOT-FOUND", `No call ${JSON.stringify(path.slice(0, 200))}.`);
  const wanted = method === "HEAD" ? "GET" : (method ?? "");
  const route = Object.hasOwn(methods, wanted) ? methods[wanted] : undefined;
  if (route === undefined) {
    throw weftError("WEFT-C-METHOD-NOT-ALLOWED", `${path} is called by ${Object.keys(methods).join(" or ")}, not ${method}.`);
  }
  return { route, id: id ?? "" };
}

function parse<T extends z.ZodType>(schema: T, body: unknown): z.output<T> {
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  throw invalid(result.error.issues);
}

function invalid(issues: z.core.$ZodIssue[]): WeftError {
  const [first] = issues;
  if (first?.code === "custom" && first.params?.invalidName === true) return weftError("WEFT-C-NAME-INVALID", first.message);
  const what = issues.slice(0, 3).map(({ path, message }) => `${path.length === 0 ? "the body" : path.join(".")}: ${message}`);
  return weftError("WEFT-C-BODY-INVALID", `The body is not what the call takes: ${what.join("; ")}.`);
}

function sendJson(response: ServerResponse, body: unknown, status = 200): void {
  send(response, status, "application/json", JSON.stringify(body));
}

// With a length, so that the simplest of clients can read it.
function send(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, { "content-type": type, "content-length": Buffer.byteLength(body), "cache-control": "no-store" }).end(body);
}

function sendNothing(response: ServerResponse): void {
  response.writeHead(204).end();
}

import type { IncomingHttpHeaders, ServerResponse } from "node:http";
import { WeftError, weftError } from "@weft/api";
import { isMapping } from "@weft/api/kinds";
import type { StoredObject } from "../store/store.ts";
import type { ResourceContext } from "./context.ts";
import { aggregated, aggregatedDiscovery, apiGroup, apiGroups, apiResources, coreVersions, hasStatus, versionInfo } from "./discovery.ts";
import { namespaceKind } from "./namespaces.ts";
import { formatOf } from "./negotiate.ts";
import { openApiDocument, openApiIndex } from "./openapi.ts";
import { checkPatchType, patched } from "./patch/patch.ts";
import { getObject, listObjects } from "./read.ts";
import { badRequest, failure, InvalidObject, sentence, success } from "./status.ts";
import { table } from "./table.ts";
import { type ObjectTarget, type Target, targetOf } from "./target.ts";
import { Watches } from "./watch.ts";
import { changeObject, createObject, deleteObject, type Preconditions, type Written } from "./write.ts";

/** Longest body of a call, bytes. */
export const maxResourceBodyBytes = 1.5 * 1024 * 1024;

/** A call of the API of resources. */
export interface ResourceCall {
  method: string;
  path: string;
  query: URLSearchParams;
  headers: IncomingHttpHeaders;
  /** The body as text, at most `maxBytes` of it. */
  body(maxBytes: number): Promise<string>;
  response: ServerResponse;
}

/** Resources by Kubernetes' conventions. */
export interface ResourceApi {
  /** Answers a call, errors included. */
  answer(call: ResourceCall): Promise<void>;
  /** Ends all watches. */
  close(): void;
}

interface Reply {
  code: number;
  body: object;
  type?: string;
  warnings?: readonly string[];
}

/** Makes the API of resources. */
export function createResourceApi(context: ResourceContext): ResourceApi {
  const watches = new Watches();

  async function answer(call: ResourceCall): Promise<void> {
    const target = targetOf(call.path);
    try {
      if (target === undefined) throw weftError("WEFT-C-NOT-FOUND", `There is nothing at ${JSON.stringify(call.path.slice(0, 200))}.`);
      if (target.type === "objects" && isWatch(call)) return await watch(context, watches, target, call);
      send(call.response, await reply(context, target, call));
    } catch (error) {
      if (call.response.headersSent) {
        call.response.destroy();
        throw error;
      }
      const known = error instanceof WeftError || error instanceof InvalidObject;
      if (!known) context.log.error({ error: error instanceof Error ? error.stack : String(error) }, "internal error");
      const told = known ? error : weftError("WEFT-C-INTERNAL", "A fault in the controller.", { cause: error });
      const status = failure(told, target?.type === "objects" ? target : undefined);
      send(call.response, { code: status.code, body: status });
    }
  }

  return { answer, close: () => watches.close() };
}

async function reply(context: ResourceContext, target: Target, call: ResourceCall): Promise<Reply> {
  if (target.type === "objects") return replyOfObjects(context, target, call);
  if (call.method !== "GET" && call.method !== "HEAD") throw notAllowed(call, ["GET"]);
  switch (target.type) {
    case "version":
      return { code: 200, body: versionInfo() };
    case "versions":
    case "groups": {
      const isCore = target.type === "versions";
      const format = formatOf(call.headers.accept, [aggregated]);
      if (format.as !== undefined) return { code: 200, body: aggregatedDiscovery(isCore, format), type: format.type };
      return { code: 200, body: isCore ? coreVersions() : apiGroups() };
    }
    case "group":
      return { code: 200, body: apiGroup(target.group) };
    case "resources":
      return { code: 200, body: apiResources(target.apiVersion) };
    case "documents":
      return { code: 200, body: openApiIndex() };
    case "document":
      return { code: 200, body: openApiDocument(target.apiVersion) };
  }
}

/** Objects as tables, which people read. */
const tables = { as: "Table", group: "meta.k8s.io", versions: ["v1", "v1beta1"] };

async function replyOfObjects(context: ResourceContext, target: ObjectTarget, call: ResourceCall): Promise<Reply> {
  const { kind, name } = target;
  const { method, query } = call;
  const format = formatOf(call.headers.accept, [tables]);
  const shown = (items: readonly StoredObject[], whole: () => object, revision?: string): Pick<Reply, "body" | "type"> => {
    if (format.as === undefined) return { body: whole() };
    return { body: table(kind, items, { revision, include: query.get("includeObject") }), type: format.type };
  };
  const told = ({ object, warnings }: Written, code: number): Reply => ({
    code,
    ...shown([object], () => object),
    warnings: warnings.map(sentence),
  });
  if (target.isStatus && !hasStatus(kind)) throw weftError("WEFT-C-NOT-FOUND", `${kind.plural} have no status that can be written.`);
  if (method === "GET" || method === "HEAD") {
    if (name !== undefined) {
      const object = await getObject(context, target);
      return { code: 200, ...shown([object], () => object, object.metadata.resourceVersion) };
    }
    const { items, revision } = await listObjects(context, target, query);
    const list = () => ({ kind: `${kind.kind}List`, apiVersion: kind.apiVersion, metadata: { resourceVersion: revision }, items });
    return { code: 200, ...shown(items, list, revision) };
  }
  const methods = target.isStatus
    ? ["GET", "PUT", "PATCH"]
    : name === undefined
      ? ["GET", "POST", "DELETE"]
      : ["GET", "PUT", "PATCH", "DELETE"];
  if (!methods.includes(method)) throw notAllowed(call, methods);
  if (kind.readOnly) throw readOnly(target);
  if (kind.namespaced && target.namespace === undefined) throw notAllowed(call, ["GET"]);
  const options = { isDryRun: isDryRun(query) };
  switch (method) {
    case "POST":
      return told(await createObject(context, target, await readJson(call, ["application/json"]), options), 201);
    case "PUT": {
      const body = await readJson(call, ["application/json"]);
      return told(await changeObject(context, target, () => body, options), 200);
    }
    case "PATCH": {
      const patch = await readPatch(call, target);
      return told(await changeObject(context, target, (current) => patched(kind, patch.type, current, patch.body), options), 200);
    }
    default: {
      const asked = await deleteOptions(call);
      const isDry = { isDryRun: options.isDryRun || asked.isDryRun };
      if (name !== undefined) {
        const { object, isGone } = await deleteObject(context, target, asked.preconditions, isDry);
        return { code: 200, body: isGone ? success(target, object.metadata.uid) : object };
      }
      const { items, revision } = await listObjects(context, target, query);
      const deleted = await Promise.all(
        items.map(({ metadata }) => deleteObject(context, { ...target, name: metadata.name }, { uid: metadata.uid }, isDry)),
      );
      const objects = deleted.map(({ object }) => object);
      return {
        code: 200,
        body: { kind: `${kind.kind}List`, apiVersion: kind.apiVersion, metadata: { resourceVersion: revision }, items: objects },
      };
    }
  }
}

const isWatch = ({ method, query }: ResourceCall) => method === "GET" && ["true", "1"].includes(query.get("watch") ?? "");

async function watch(
  context: ResourceContext,
  watches: Watches,
  target: ObjectTarget,
  { query, headers, response }: ResourceCall,
): Promise<void> {
  if (target.kind === namespaceKind)
    throw weftError("WEFT-C-METHOD-NOT-ALLOWED", "Namespaces cannot be watched here.", {
      hint: "List them: one is there while something is in it.",
    });
  const { as, type } = formatOf(headers.accept, [tables]);
  const include = query.get("includeObject");
  const show = (object: StoredObject) =>
    as === undefined ? object : table(target.kind, [object], { revision: object.metadata.resourceVersion, include });
  await watches.serve(context, target, query, { response, show, type });
}

function readOnly({ kind }: ObjectTarget): WeftError {
  const hint =
    kind === namespaceKind
      ? "Nothing needs to be done: a namespace is there as soon as something is in it."
      : "It says what runs: start and end programs to change it, by `weft run`.";
  return weftError("WEFT-C-OBJECT-READ-ONLY", `Objects of kind ${kind.kind} are written by the controller alone.`, { hint });
}

const notAllowed = ({ path, method }: ResourceCall, methods: readonly string[]) =>
  weftError("WEFT-C-METHOD-NOT-ALLOWED", `${path} is called by ${methods.join(", ")}, not ${method}.`);

function isDryRun(query: URLSearchParams): boolean {
  const asked = query.getAll("dryRun");
  if (asked.some((each) => each !== "All"))
    throw weftError("WEFT-C-QUERY-INVALID", `dryRun is ${JSON.stringify(asked[0]?.slice(0, 20))}, and only All is known.`);
  return asked.length > 0;
}

const contentTypeOf = ({ headers }: ResourceCall) => (headers["content-type"] ?? "").split(";")[0]?.trim().toLowerCase() ?? "";

async function readJson(call: ResourceCall, types: readonly string[]): Promise<unknown> {
  const type = contentTypeOf(call);
  if (!types.includes(type))
    throw weftError("WEFT-C-BODY-FORMAT-UNKNOWN", `The body is ${JSON.stringify(type.slice(0, 100))}, and ${types.join(" or ")} is taken.`);
  return parseJson(await call.body(maxResourceBodyBytes));
}

async function readPatch(call: ResourceCall, { kind }: ObjectTarget): Promise<{ type: string; body: unknown }> {
  const type = contentTypeOf(call);
  checkPatchType(kind, type);
  return { type, body: parseJson(await call.body(maxResourceBodyBytes)) };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    throw badRequest(`The body is no JSON: ${(cause as Error).message}.`);
  }
}

/** Kubernetes' DeleteOptions. Nothing has dependants here, so that how they go makes no difference. */
async function deleteOptions(call: ResourceCall): Promise<{ preconditions: Preconditions; isDryRun: boolean }> {
  const text = await call.body(maxResourceBodyBytes);
  const body = text === "" ? {} : parseJson(text);
  if (!isMapping(body)) throw badRequest("The body is no DeleteOptions.");
  const { preconditions, dryRun = [] } = body;
  const { uid, resourceVersion } = isMapping(preconditions) ? preconditions : {};
  for (const each of [uid, resourceVersion])
    if (each !== undefined && typeof each !== "string") throw badRequest("preconditions are uid and resourceVersion, as texts.");
  const asked = new URLSearchParams((Array.isArray(dryRun) ? dryRun : [dryRun]).map((each) => ["dryRun", String(each)]));
  return { preconditions: { uid, resourceVersion } as Preconditions, isDryRun: isDryRun(asked) };
}

/** Most warnings that are told of one call. */
const maxWarnings = 10;

function send(response: ServerResponse, { code, body, type = "application/json", warnings = [] }: Reply): void {
  const text = JSON.stringify(body);
  // What is no plain ASCII cannot stand in a field of HTTP.
  const quoted = warnings.slice(0, maxWarnings).map((warning) => `299 - "${warning.replace(/[^ -~]/g, "?").replace(/["\\]/g, "\\$&")}"`);
  if (quoted.length > 0) response.setHeader("warning", quoted);
  // What is left of a refused body is not waited for.
  if (!response.req.complete) response.setHeader("connection", "close");
  response.writeHead(code, { "content-type": type, "content-length": Buffer.byteLength(text), "cache-control": "no-store" }).end(text);
}

import { WeftError, weftError } from "@weft/api/light";
import { type ApiKind, type ApiObject, collectionPath, type DraftObject, objectPath, type Place } from "./objects.ts";
import { type Refusal, refusalOf } from "./refusal.ts";
import type { ApiAnswer, ApiCall, Transport } from "./transport.ts";

// Far above any real answer, far below what would hurt.
const maxAnswerBytes = 256 * 1024 * 1024;
const maxEventBytes = 16 * 1024 * 1024;
const timeoutMs = 30_000;
// A watch is begun anew from time to time, so that a connection that died unnoticed is.
const watchSeconds = 240;

/** Objects of a kind at a revision. */
export interface ObjectList {
  items: ApiObject[];
  /** A watch goes on from here. */
  revision: string;
}

/** Which objects of a kind. */
export interface Selection {
  /** All namespaces without it. */
  namespace?: string | undefined;
  /** `app=users,tier!=web`, as Kubernetes has it. */
  labelSelector?: string | undefined;
}

/** How a change is made. */
export interface WriteOptions {
  /** Only checks whether it would be made, and answers what would come of it. */
  dryRun?: boolean;
}

/** An event of a watch, as the server sends it. */
export type ServerEvent =
  | { type: "ADDED" | "MODIFIED" | "DELETED"; object: ApiObject }
  | { type: "BOOKMARK"; object: { metadata: { resourceVersion: string } } }
  | { type: "ERROR"; refusal: Refusal };

/** Objects of all kinds, by Kubernetes' API. Failures are WeftErrors: a `Refusal` is the server's own word. */
export class ResourceClient {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  async list(kind: ApiKind, { namespace, labelSelector }: Selection = {}): Promise<ObjectList> {
    const path = collectionPath(kind, namespace) + queryOf({ labelSelector });
    const { items, metadata } = await this.#call<{ items: ApiObject[]; metadata: { resourceVersion: string } }>({ method: "GET", path });
    // Within a list, items may leave out what all of them are.
    const { kind: name, group, version } = kind;
    const apiVersion = group === "" ? version : `${group}/${version}`;
    return { items: items.map((item) => ({ ...item, apiVersion, kind: name })), revision: metadata.resourceVersion };
  }

  get(kind: ApiKind, place: Place): Promise<ApiObject> {
    return this.#call({ method: "GET", path: objectPath(kind, place) });
  }

  create(kind: ApiKind, object: DraftObject, options: WriteOptions = {}): Promise<ApiObject> {
    return this.#write("POST", collectionPath(kind, object.metadata.namespace) + writeQuery(options), object);
  }

  /** Replaces an object but for its status. With `metadata.resourceVersion`, only if it is still that version. */
  update(kind: ApiKind, object: DraftObject, options: WriteOptions = {}): Promise<ApiObject> {
    return this.#write("PUT", objectPath(kind, object.metadata) + writeQuery(options), object);
  }

  /** Replaces the status of an object and nothing else. */
  updateStatus(kind: ApiKind, object: DraftObject, options: WriteOptions = {}): Promise<ApiObject> {
    return this.#write("PUT", `${objectPath(kind, object.metadata)}/status${writeQuery(options)}`, object);
  }

  /** Changes the fields that a JSON merge patch (RFC 7396) names. */
  patch(kind: ApiKind, place: Place, patch: object, options: WriteOptions = {}): Promise<ApiObject> {
    return this.#write("PATCH", objectPath(kind, place) + writeQuery(options), patch, "application/merge-patch+json");
  }

  /** Deletes an object; with `uid`, only if it is still that one. */
  async delete(kind: ApiKind, place: Place, { uid, ...options }: WriteOptions & { uid?: string } = {}): Promise<void> {
    const path = objectPath(kind, place) + writeQuery(options);
    const conditions = { apiVersion: "v1", kind: "DeleteOptions", ...(uid !== undefined && { preconditions: { uid } }) };
    await this.#call({ method: "DELETE", path, body: { type: "application/json", text: JSON.stringify(conditions) } });
  }

  /** One watch, from a revision until the connection ends or the server ends it: `follow` makes a lasting one of them. */
  async *watch(kind: ApiKind, selection: Selection, revision: string, signal?: AbortSignal): AsyncGenerator<ServerEvent> {
    const { namespace, labelSelector } = selection;
    const asked = { watch: "true", allowWatchBookmarks: "true", resourceVersion: revision, timeoutSeconds: watchSeconds, labelSelector };
    const tooLong = AbortSignal.timeout(2 * watchSeconds * 1000);
    const path = collectionPath(kind, namespace) + queryOf(asked);
    const call: ApiCall = { method: "GET", path, signal: signal === undefined ? tooLong : AbortSignal.any([signal, tooLong]) };
    try {
      const answer = await this.#transport.send(call);
      if (answer.status !== 200) throw await this.#refused(call, answer);
      for await (const line of linesOf(answer.body)) {
        const event = JSON.parse(line) as { type: "ERROR"; object: { code?: number } } | Exclude<ServerEvent, { type: "ERROR" }>;
        if (event.type !== "ERROR") yield event;
        else yield { type: "ERROR", refusal: refusalOf(event.object.code ?? 500, JSON.stringify(event.object)) ?? this.#odd(call, line) };
      }
    } catch (error) {
      if (signal?.aborted || error instanceof WeftError) throw error;
      throw this.#trouble(call, `was lost: ${(error as Error).message}`, error);
    }
  }

  #write(method: ApiCall["method"], path: string, body: object, type = "application/json"): Promise<ApiObject> {
    return this.#call({ method, path, body: { type, text: JSON.stringify(body) } });
  }

  async #call<Answer>(call: ApiCall): Promise<Answer> {
    const signal = AbortSignal.timeout(timeoutMs);
    try {
      const answer = await this.#transport.send({ ...call, signal });
      if (answer.status >= 300) throw await this.#refused(call, answer);
      return JSON.parse(await textOf(answer)) as Answer;
    } catch (error) {
      if (signal.aborted) throw this.#trouble(call, `was not answered within ${timeoutMs / 1000} s`, error);
      if (error instanceof WeftError) throw error;
      throw this.#trouble(call, `failed: ${(error as Error).message}`, error);
    }
  }

  async #refused(call: ApiCall, answer: ApiAnswer): Promise<WeftError> {
    return refusalOf(answer.status, await textOf(answer)) ?? this.#trouble(call, `was answered with status ${answer.status}`);
  }

  #odd(call: ApiCall, line: string): never {
    throw this.#trouble(call, `was answered with ${line.slice(0, 100)}`);
  }

  #trouble({ method, path }: ApiCall, what: string, cause?: unknown): WeftError {
    const message = `${this.#transport.server} does not answer as it should: ${method} ${path} ${what}.`;
    return weftError("WEFT-L-CONTROLLER-UNREACHABLE", message, { cause });
  }
}

const writeQuery = ({ dryRun = false }: WriteOptions) => queryOf({ dryRun: dryRun ? "All" : undefined });

function queryOf(parameters: Record<string, string | number | undefined>): string {
  const given = Object.entries(parameters).flatMap(([name, value]) => (value === undefined ? [] : [[name, String(value)]]));
  return given.length === 0 ? "" : `?${new URLSearchParams(given)}`;
}

async function textOf({ body }: ApiAnswer): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    if (size > maxAnswerBytes) throw new Error(`the answer is over ${maxAnswerBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

async function* linesOf(body: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let begun = "";
  for await (const chunk of body) {
    const parts = (begun + decoder.decode(chunk, { stream: true })).split("\n");
    begun = parts.pop() ?? "";
    if (begun.length > maxEventBytes) throw new Error(`an event is over ${maxEventBytes} bytes`);
    yield* parts.filter((part) => part !== "");
  }
}

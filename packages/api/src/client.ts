import type { ClientRequest, IncomingMessage } from "node:http";
import { apiPrefix } from "./constants.ts";
import { type ErrorBody, WeftError, weftError } from "./errors.ts";
import type {
  Access,
  Check,
  Launched,
  RegisterAgain,
  RegisterEndpoint,
  RegisteredWorkload,
  RegisterWorkload,
  Service,
  Status,
  Workload,
} from "./http.ts";
import type { Live } from "./live.ts";
import { statePaths } from "./state.ts";
import { defaultWindow, type Edge, type EdgeStat, type Stat, type StatQuery } from "./stats.ts";
import type { TapLine, TapQuery } from "./tap.ts";
import type { Why } from "./why.ts";

// Far above any real answer, far below what would hurt.
const maxAnswerBytes = 64 * 1024 * 1024;

/** Client of the controller's HTTP API over `api.sock`. Every failure is a WeftError. */
export class ApiClient {
  readonly #stateDir: string;
  readonly #timeoutMs: number;

  /** `timeoutMs` bounds each call (default 10 s), `live` excepted. */
  constructor(stateDir: string, options: { timeoutMs?: number } = {}) {
    this.#stateDir = stateDir;
    this.#timeoutMs = options.timeoutMs ?? 10_000;
  }

  status = () => this.#json<Status>("GET", "/status");
  services = () => this.#json<Service[]>("GET", "/services");
  workloads = () => this.#json<Workload[]>("GET", "/workloads");
  checks = () => this.#json<Check[]>("GET", "/checks");
  stat = (query: StatQuery & { by?: Stat["by"] } = {}) => this.#json<Stat>("GET", `/stat${queryOf(query)}`);
  edgeStat = (query: StatQuery = {}) => this.#json<EdgeStat>("GET", `/stat${queryOf({ ...query, by: "edge" })}`);
  /** Everything that is known of why calls from one service to another work or do not. Both as "name.namespace". */
  why = (from: string, to: string) => this.#json<Why>("GET", `/why${queryOf({ from, to })}`);
  /** `window` in seconds. */
  edges = (window = defaultWindow) => this.#json<Edge[]>("GET", `/edges?window=${window}`);
  registerWorkload = (body: RegisterWorkload) => this.#json<RegisteredWorkload>("POST", "/workloads", body);
  /** Registers a workload that the controller forgot, under its id. */
  registerAgain = (id: string, body: RegisterAgain) => this.#json<RegisteredWorkload>("PUT", `/workloads/${encodeURIComponent(id)}`, body);
  /** A one-time token for the first certificate of a workload's sidecar. */
  token = (id: string) => this.#call("POST", `/workloads/${encodeURIComponent(id)}/token`);
  launched = async (id: string, body: Launched) => void (await this.#call("POST", `/workloads/${encodeURIComponent(id)}/launched`, body));
  /** Removes a workload for good: its certificates are refused, and a launcher that still runs cannot register it anew. */
  deleteWorkload = async (id: string) => void (await this.#call("DELETE", `/workloads/${encodeURIComponent(id)}`));
  /** Takes a workload off the registry whose program ended, and its sidecar with it. */
  endWorkload = async (id: string) => void (await this.#call("DELETE", `/workloads/${encodeURIComponent(id)}?ended=true`));
  registerEndpoint = (body: RegisterEndpoint) => this.#json<{ id: string }>("POST", "/endpoints", body);
  deleteEndpoint = async (id: string) => void (await this.#call("DELETE", `/endpoints/${encodeURIComponent(id)}`));
  /** Opens access over HTTPS, for kubectl and its like, if it is not open, and answers what it takes. */
  grantAccess = () => this.#json<Access>("POST", "/access");
  /** Ends access over HTTPS, and with it what was given to anybody. */
  revokeAccess = async () => void (await this.#call("DELETE", "/access"));
  /** The resources that people wrote, as a file that `weft restore` takes, piece by piece. An incomplete one fails. */
  backup = (): Promise<AsyncIterable<Uint8Array>> => this.#send("GET", "/backup", undefined, undefined);
  /** Makes a link that lets a browser in to the whole page: once, and within a minute. */
  login = () => this.#json<{ url: string }>("POST", "/login");
  /** Asks the controller to end; it answers before it does. */
  shutdown = async () => void (await this.#call("POST", "/shutdown"));

  /** Everything that the page shows, once a second, until `signal` aborts or the controller ends. */
  async *live(signal?: AbortSignal): AsyncGenerator<Live> {
    const response = await this.#send("GET", "/live", undefined, signal);
    for await (const event of linesOf(response, "\n\n")) {
      if (event.startsWith("data: ")) yield JSON.parse(event.slice("data: ".length)) as Live;
    }
  }

  /** Live requests, until `signal` aborts or the controller ends. */
  async *tap(query: TapQuery = {}, signal?: AbortSignal): AsyncGenerator<TapLine> {
    const response = await this.#send("GET", `/tap${queryOf(query)}`, undefined, signal);
    for await (const line of linesOf(response, "\n")) yield JSON.parse(line) as TapLine;
  }

  async #json<T>(method: string, path: string, body?: unknown): Promise<T> {
    const text = await this.#call(method, path, body);
    try {
      return JSON.parse(text) as T;
    } catch (cause) {
      throw this.#unreachable(`${method} ${path} was not answered with JSON`, cause);
    }
  }

  async #call(method: string, path: string, body?: unknown): Promise<string> {
    const signal = AbortSignal.timeout(this.#timeoutMs);
    try {
      return await readText(await this.#send(method, path, body, signal));
    } catch (error) {
      if (error instanceof WeftError) throw error;
      if (signal.aborted) throw this.#unreachable(`${method} ${path} was not answered within ${this.#timeoutMs / 1000} s`, error);
      throw this.#unreachable(`${method} ${path} failed: ${(error as Error).message}`, error);
    }
  }

  async #send(method: string, path: string, body: unknown, signal: AbortSignal | undefined): Promise<IncomingMessage> {
    const payload = body === undefined ? undefined : JSON.stringify(body);
    // An `import` would evaluate all that node:http exports, one of which loads another HTTP client: 80 ms for every `weft run`.
    const { request } = process.getBuiltinModule("node:http");
    const call = request({
      socketPath: statePaths(this.#stateDir).apiSocket,
      method,
      path: apiPrefix + path,
      headers: payload === undefined ? {} : { "content-type": "application/json", "content-length": Buffer.byteLength(payload) },
      agent: false,
      ...(signal === undefined ? {} : { signal }),
    });
    call.end(payload);
    const response = await this.#answer(call);
    if ((response.statusCode ?? 0) < 400) return response;
    const text = await readText(response);
    const error = parseError(text);
    if (error === undefined) throw this.#unreachable(`${method} ${path} was answered with status ${response.statusCode}`);
    throw new WeftError(error.code, error.message, error.hint);
  }

  async #answer(call: ClientRequest): Promise<IncomingMessage> {
    try {
      return await new Promise<IncomingMessage>((resolve, reject) => call.once("response", resolve).once("error", reject));
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "ENOENT" || code === "ECONNREFUSED" || code === "ENOTDIR") {
        throw weftError("WEFT-L-CONTROLLER-NOT-RUNNING", `No controller runs on ${this.#stateDir}.`, { cause: error });
      }
      if (code === "EACCES" || code === "EPERM") {
        throw weftError("WEFT-L-CONTROLLER-UNREACHABLE", `${this.#stateDir} may not be entered by this user.`, {
          hint: "Run weft as the user who started the controller, or name a directory of your own in WEFT_STATE.",
          cause: error,
        });
      }
      throw error;
    }
  }

  #unreachable(what: string, cause?: unknown): WeftError {
    return weftError("WEFT-L-CONTROLLER-UNREACHABLE", `The controller on ${this.#stateDir} does not answer as it should: ${what}.`, {
      cause,
    });
  }
}

/** The parts of an answer that are divided by `divider`, as they come. */
async function* linesOf(response: IncomingMessage, divider: string): AsyncGenerator<string> {
  response.setEncoding("utf8");
  let buffered = "";
  for await (const chunk of response) {
    const parts = (buffered + chunk).split(divider);
    buffered = parts.pop() ?? "";
    yield* parts;
  }
}

// Lists are repeated; false is said by leaving it out.
function queryOf(parameters: object): string {
  const given = Object.entries(parameters).flatMap(([name, value]) =>
    [value].flat().flatMap((each) => (each === undefined || each === false ? [] : [[name, String(each)]])),
  );
  return given.length === 0 ? "" : `?${new URLSearchParams(given)}`;
}

async function readText(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxAnswerBytes) throw new Error(`the answer is over ${maxAnswerBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function parseError(text: string): ErrorBody["error"] | undefined {
  try {
    const { error } = JSON.parse(text) as Partial<ErrorBody>;
    return typeof error?.code === "string" && typeof error.message === "string" ? { ...error, hint: error.hint ?? "" } : undefined;
  } catch {
    return undefined;
  }
}

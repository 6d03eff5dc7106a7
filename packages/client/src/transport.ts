import type { IncomingMessage } from "node:http";
import { statePaths, type WeftError, weftError } from "@weft/api/light";

/** A request of the API. */
export interface ApiCall {
  method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** With its query. */
  path: string;
  /** JSON, with its type: `application/json`, or that of a patch. */
  body?: { type: string; text: string };
  /** Ends the call, and the answer that it is reading. */
  signal?: AbortSignal;
}

/** What a request is answered with. */
export interface ApiAnswer {
  status: number;
  /** The body as it comes. It fails when the connection is lost. */
  body: AsyncIterable<Uint8Array>;
}

/** How requests reach an API server. Rejects with a WeftError that says why there is no answer. */
export interface Transport {
  /** Who is asked, for messages: `The controller on /home/me/.local/state/weft`. */
  readonly server: string;
  send(call: ApiCall): Promise<ApiAnswer>;
}

// As many connections as the controller has turns to do something at the same time; more would only wait there.
const maxConnections = 16;

/** Reaches the controller of a state directory through its `api.sock`. */
export function socketTransport(stateDir: string): Transport {
  const { apiSocket } = statePaths(stateDir);
  const server = `The controller on ${stateDir}`;
  // An `import` would evaluate all that node:http exports, one of which loads another HTTP client: 80 ms for every command.
  const http = process.getBuiltinModule("node:http");
  const pooled = new http.Agent({ keepAlive: true, maxSockets: maxConnections });
  // A call that stays open, as a watch does, takes no place of the others.
  const own = new http.Agent({ maxSockets: Number.POSITIVE_INFINITY });
  return {
    server,
    async send({ method, path, body, signal }) {
      const headers = body === undefined ? {} : { "content-type": body.type, "content-length": Buffer.byteLength(body.text) };
      const agent = isWatch(path) ? own : pooled;
      const request = http.request({ socketPath: apiSocket, method, path, headers, agent, ...(signal && { signal }) });
      request.end(body?.text);
      try {
        const response = await new Promise<IncomingMessage>((resolve, reject) => request.once("response", resolve).once("error", reject));
        // A connection that is lost now fails the reading of the body.
        request.on("error", () => undefined);
        return { status: response.statusCode ?? 0, body: response };
      } catch (error) {
        if (signal?.aborted) throw error;
        throw unreachable(stateDir, server, error as NodeJS.ErrnoException);
      }
    },
  };
}

const isWatch = (path: string) => /[?&]watch=/.test(path);

function unreachable(stateDir: string, server: string, cause: NodeJS.ErrnoException): WeftError {
  if (["ENOENT", "ECONNREFUSED", "ENOTDIR"].includes(cause.code ?? ""))
    return weftError("WEFT-L-CONTROLLER-NOT-RUNNING", `No controller runs on ${stateDir}.`, { cause });
  if (["EACCES", "EPERM"].includes(cause.code ?? "")) {
    const hint = "Run weft as the user who started the controller, or name a directory of your own in WEFT_STATE.";
    return weftError("WEFT-L-CONTROLLER-UNREACHABLE", `${stateDir} may not be entered by this user.`, { hint, cause });
  }
  return weftError("WEFT-L-CONTROLLER-UNREACHABLE", `${server} does not answer as it should: ${cause.message}.`, { cause });
}

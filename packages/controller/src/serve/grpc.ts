import { createServer, type Http2Server, type ServerHttp2Session } from "node:http2";
import { Code, type ConnectRouter, type Interceptor } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { Identity, Inspect, Tap, Telemetry, Workload } from "@weft/api/proto";
import { watchPath } from "../sessions/sessions.ts";
import { toConnectError } from "./errors.ts";
import { certify } from "./identity.ts";
import { serveInspect } from "./inspect.ts";
import type { Services } from "./services.ts";
import { serveTap } from "./tap.ts";
import { report } from "./telemetry.ts";
import { watchWorkload } from "./workload.ts";

const maxMessageBytes = 1024 * 1024;
const maxConnections = 4096;
// A sidecar has five streams, and a call now and then.
const maxStreams = 32;
const silenceMs = 10_000;
const pingMs = 20_000;
// Long, since a sidecar that is stopped for a while comes back as it was.
const lostMs = 120_000;

/** The gRPC server for sidecars: HTTP/2 with prior knowledge, not listening yet. */
export function createGrpcServer(services: Services): { server: Http2Server; closeConnections: () => void } {
  const handler = connectNodeAdapter({
    grpc: true,
    grpcWeb: false,
    connect: false,
    readMaxBytes: maxMessageBytes,
    interceptors: [explainErrors(services)],
    routes: (router: ConnectRouter) =>
      router
        .service(Identity, { certify: (request) => certify(services, request) })
        .service(Workload, { watch: (requests, context) => watchWorkload(services, requests, context) })
        .service(Telemetry, { report: (requests, context) => report(services, requests, context) })
        .service(Tap, { serve: (requests, context) => serveTap(services, requests, context) })
        .service(Inspect, { serve: (requests, context) => serveInspect(services, requests, context) }),
  });
  const server = createServer({ settings: { maxConcurrentStreams: maxStreams, enablePush: false } });
  // It never listens: it only gives the handler the requests and answers that it takes.
  const others = createServer(handler);
  server.on("stream", (stream, headers, ...more) => {
    if (headers[":method"] === "POST" && headers[":path"] === watchPath) services.sessions.serve(services, stream, headers);
    else others.emit("stream", stream, headers, ...more);
  });
  server.maxConnections = maxConnections;
  const sessions = new Set<ServerHttp2Session>();
  server.on("session", (session) => {
    sessions.add(session);
    const silent = setTimeout(() => session.destroy(), silenceMs).unref();
    session.once("stream", () => clearTimeout(silent));
    const pings = keepAlive(session);
    session.on("error", (error) => services.log.debug({ error: error.message }, "a sidecar's connection failed"));
    session.once("close", () => {
      clearTimeout(silent);
      clearInterval(pings);
      sessions.delete(session);
    });
  });
  server.on("sessionError", () => {});
  const closeConnections = () => {
    for (const session of sessions) session.destroy();
  };
  return { server, closeConnections };
}

/** Asks a connection again and again whether it is still there, and ends it when it is not. */
function keepAlive(session: ServerHttp2Session): NodeJS.Timeout {
  let answeredAt = performance.now();
  return setInterval(() => {
    if (performance.now() - answeredAt > lostMs) {
      session.destroy();
      return;
    }
    session.ping((error) => {
      if (error === null) answeredAt = performance.now();
    });
  }, pingMs).unref();
}

// Every refusal leaves with its code and its hint, and faults of the controller leave none of their details.
function explainErrors({ log }: Services): Interceptor {
  const explained = (method: string, error: unknown) => {
    const connectError = toConnectError(error);
    // Where a refusal was made says its code; where a fault happened does only its stack.
    const isFault = connectError.code === Code.Internal && error instanceof Error;
    log.info({ method, error: connectError.message, ...(isFault ? { cause: error.stack } : {}) }, "a sidecar's call ended with an error");
    return connectError;
  };
  return (next) => async (request) => {
    try {
      const response = await next(request);
      if (!response.stream) return response;
      return { ...response, message: rethrow(response.message, (error) => explained(request.method.name, error)) };
    } catch (error) {
      throw explained(request.method.name, error);
    }
  };
}

async function* rethrow<T>(messages: AsyncIterable<T>, explain: (error: unknown) => unknown): AsyncGenerator<T> {
  try {
    yield* messages;
  } catch (error) {
    throw explain(error);
  }
}

// Node's node:http and node:http2 as called: see e2e/matrix/http.ts for what is asked.
//   http-serve.ts HTTP1_PORT HTTP2_PORT
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createHttp2Server, type Http2ServerRequest, type Http2ServerResponse } from "node:http2";
import { gzipSync } from "node:zlib";
import { pattern } from "./pattern.ts";

type Request = IncomingMessage | Http2ServerRequest;
type Response = ServerResponse | Http2ServerResponse;

/** The two have the same methods, but no common type that can be called. */
const write = (response: Response, chunk: string | Buffer) => (response as ServerResponse).write(chunk);

const left = new Set<string>();

async function echo(request: Request, response: Response): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = Buffer.concat(chunks);
  response.setHeader("x-length", request.headers["content-length"] ?? "-1");
  response.setHeader("content-length", body.length);
  response.end(body);
}

async function stream(response: Response, lines: number): Promise<void> {
  for (let line = 0; line < lines; line++) {
    write(response, `line ${line}\n`);
    await new Promise(setImmediate);
  }
  response.end();
}

const routes: Record<string, (request: Request, response: Response, value: string) => void> = {
  get: (request, response) => response.end(`${request.method} ${request.url}`),
  echo: (request, response) => void echo(request, response),
  bytes: (_, response, value) => {
    response.setHeader("content-length", value);
    response.end(pattern(Number(value)));
  },
  stream: (_, response, value) => void stream(response, Number(value)),
  gzip: (_, response) => {
    response.setHeader("content-encoding", "gzip");
    response.end(gzipSync("zipped\n".repeat(100)));
  },
  redirect: (_, response) => {
    response.statusCode = 302;
    response.setHeader("location", "/get?redirected");
    response.end();
  },
  status: (_, response, value) => {
    response.statusCode = Number(value);
    response.end(`status ${value}`);
  },
  field: (request, response) => {
    response.setHeader("x-large", request.headers["x-large"] ?? "");
    response.end();
  },
  trailers: (_, response) => {
    response.setHeader("trailer", "x-sum");
    write(response, "abc");
    response.addTrailers({ "x-sum": "3" });
    response.end();
  },
  hints: (_, response) => {
    response.writeEarlyHints({ link: "</a.css>; rel=preload; as=style" });
    response.end("hinted");
  },
  slow: (request, response) => {
    response.on("close", () => left.add(request.url?.split("?")[1] ?? ""));
  },
  left: (request, response) => response.end(String(left.has(request.url?.split("?")[1] ?? ""))),
};

function answer(request: Request, response: Response): void {
  const [, name = "", value = ""] = (request.url ?? "").split("?", 1)[0]?.split("/") ?? [];
  const route = routes[name];
  if (route) route(request, response, value);
  else {
    response.statusCode = 404;
    response.end();
  }
}

const [http1Port, http2Port] = process.argv.slice(2);
createServer(answer).listen(Number(http1Port));
createHttp2Server(answer).listen(Number(http2Port));

import { request as httpRequest } from "node:http";
import { type ClientHttp2Session, connect } from "node:http2";
import type { Socket } from "node:net";

/** Calls one origin over HTTP/2 without TLS on one connection, through HTTP_PROXY if that is set. */
export class Http2Client {
  readonly #origin: URL;
  #session: Promise<ClientHttp2Session> | undefined;

  constructor(origin: string) {
    this.#origin = new URL(origin);
  }

  /** The body of `GET path`. Fails after 5 s, or when the status is not 200. */
  async get(path: string): Promise<string> {
    this.#session ??= this.#open();
    const session = await this.#session;
    return new Promise((resolve, reject) => {
      const stream = session.request({ ":path": path });
      let status = 0;
      let body = "";
      stream.setEncoding("utf8").setTimeout(5000, () => stream.destroy(new Error(`${this.#origin.host} did not answer`)));
      stream.on("response", (headers) => {
        status = headers[":status"] ?? 0;
      });
      stream.on("data", (chunk: string) => {
        body += chunk;
      });
      stream.on("end", () => (status === 200 ? resolve(body) : reject(new Error(`${this.#origin.host} answered ${status}`))));
      stream.on("error", reject);
    });
  }

  async #open(): Promise<ClientHttp2Session> {
    try {
      const socket = process.env.HTTP_PROXY ? await tunnel(process.env.HTTP_PROXY, this.#origin) : undefined;
      const session = connect(this.#origin, socket && { createConnection: () => socket });
      const forget = () => {
        this.#session = undefined;
      };
      return session.on("goaway", forget).on("close", forget).on("error", forget);
    } catch (error) {
      this.#session = undefined;
      throw error;
    }
  }
}

function tunnel(proxy: string, origin: URL): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const target = `${origin.hostname}:${origin.port || 80}`;
    const request = httpRequest(proxy, { method: "CONNECT", path: target, headers: { host: target } });
    request.on("connect", (response, socket, head) => {
      // An HTTP/2 server speaks first, so its first frame may have come along.
      socket.unshift(head);
      if (response.statusCode === 200) return resolve(socket);
      socket.destroy();
      reject(new Error(`the proxy answered ${response.statusCode} for ${target}`));
    });
    request.on("error", reject).end();
  });
}

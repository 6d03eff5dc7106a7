// The two programs of the gate, each behind a sidecar: a server that answers the same to everything, and a client that asks one request after the other on one
// connection. "server PROTOCOL PORT" or "client PROTOCOL"; the client does what the lines of its standard input say.
import { connect, createServer, type Socket } from "node:net";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { message, opening, reader } from "./frames.ts";

const host = "gate";
const path = "/api/users";
const fields = { accept: "application/json", "user-agent": "gate/1", "x-request-id": "0123456789abcdef" };
const body = JSON.stringify({ users: ["ada", "grace"] });
const answered = { "content-type": "application/json", "content-length": String(body.length), date: "Thu, 01 Jan 1970 00:00:00 GMT" };
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/** Between two requests of which there are to be few. */
const FAR_APART_MS = 100;

const [role, protocol, port] = process.argv.slice(2);
if (role === "server") serve();
else await obey(protocol === "http2" ? overHttp2() : overHttp1());

function serve(): void {
  const server = createServer({ noDelay: true }, (socket) => {
    // It is reset when the sidecar ends.
    socket.on("error", () => socket.destroy());
    if (protocol === "http2") answerHttp2(socket);
    else answerHttp1(socket);
  });
  server.listen(Number(port), "127.0.0.1", () => console.log("listening"));
}

function text(first: string, lines: Record<string, string>): string {
  return `${[first, ...Object.entries(lines).map(([name, value]) => `${name}: ${value}`)].join("\r\n")}\r\n\r\n`;
}

function answerHttp1(socket: Socket): void {
  const answer = text("HTTP/1.1 200 OK", answered) + body;
  let left = "";
  socket.setEncoding("latin1").on("data", (chunk) => {
    left += chunk;
    if (!left.endsWith("\r\n\r\n")) return;
    left = "";
    socket.write(answer);
  });
}

function answerHttp2(socket: Socket): void {
  const read = reader(
    (bytes) => socket.write(bytes),
    (stream) => socket.write(message(stream, { ":status": "200", ...answered }, body)),
  );
  let before = preface.length;
  socket.write(opening());
  socket.on("data", (chunk) => {
    const skipped = Math.min(before, chunk.length);
    before -= skipped;
    read(chunk.subarray(skipped));
  });
}

/** "MANY n": n requests. "FEW": requests far apart until "STOP". Either is answered by the number of requests that were made. */
async function obey(request: () => Promise<void>): Promise<void> {
  let going = false;
  for await (const line of createInterface({ input: process.stdin })) {
    const [word, count] = line.split(" ");
    if (word === "STOP") going = false;
    else if (word === "FEW") {
      going = true;
      farApart();
    } else {
      for (let index = 0; index < Number(count); index += 1) await request();
      console.log(`asked ${count}`);
    }
  }
  async function farApart(): Promise<void> {
    let asked = 0;
    for (; going; asked += 1) {
      await request();
      await delay(FAR_APART_MS);
    }
    console.log(`asked ${asked}`);
  }
}

/** The one connection, and its end before its time. */
function open(): Socket {
  const [, address = ""] = Object.entries(process.env).find(([name]) => name.startsWith("WEFT_UPSTREAM_")) ?? [];
  const [name, number] = address.split(":");
  const socket = connect({ host: name, port: Number(number), noDelay: true });
  return socket.on("error", () => socket.destroy());
}

function overHttp1(): () => Promise<void> {
  const socket = open().setEncoding("latin1");
  const request = text(`GET ${path} HTTP/1.1`, { host, ...fields });
  return () =>
    new Promise((resolve, reject) => {
      let said = "";
      const see = (chunk: string) => {
        said += chunk;
        if (!said.endsWith(body)) return;
        socket.off("data", see);
        if (said.startsWith("HTTP/1.1 200")) resolve();
        else reject(new Error(said));
      };
      socket.on("data", see);
      socket.write(request);
    });
}

function overHttp2(): () => Promise<void> {
  const socket = open();
  socket.write(Buffer.concat([Buffer.from(preface), opening()]));
  let done: (size: number) => void;
  const read = reader(
    (bytes) => socket.write(bytes),
    (_, size) => done(size),
  );
  socket.on("data", read);
  const head = { ":method": "GET", ":scheme": "http", ":authority": host, ":path": path, ...fields };
  let stream = -1;
  return () =>
    new Promise((resolve, reject) => {
      done = (size) => (size === body.length ? resolve() : reject(new Error(`the answer has ${size} bytes, not ${body.length}`)));
      stream += 2;
      socket.write(message(stream, head));
    });
}

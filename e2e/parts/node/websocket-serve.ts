// The package "ws" as called. See e2e/matrix/websocket.ts for what is asked.
//   websocket-serve.ts MODULES PORT     MODULES: the folder that holds ws
import { createRequire } from "node:module";

interface Socket {
  on(event: "message", hear: (data: Buffer, isBinary: boolean) => void): void;
  on(event: "error", hear: () => void): void;
  send(data: Buffer | string, options?: { binary?: boolean; fin?: boolean }): void;
  close(code: number, reason: string): void;
}

const [modules = "", port = ""] = process.argv.slice(2);
const { WebSocketServer } = createRequire(`${modules}/`)("ws");
const server = new WebSocketServer({ port: Number(port), perMessageDeflate: true, maxPayload: 0 });
server.on("connection", (socket: Socket) => {
  socket.on("error", () => {});
  socket.send("welcome");
  socket.on("message", (data, isBinary) => {
    const text = isBinary ? "" : data.toString();
    if (text === "close") socket.close(4001, "as you wish");
    else if (text === "fragments") {
      socket.send("one ", { fin: false });
      socket.send("two ", { fin: false });
      socket.send("three", { fin: true });
    } else socket.send(data, { binary: isBinary });
  });
});

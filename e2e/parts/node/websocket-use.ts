// What callers with the WebSocket of the web do: it also runs inside a page, so it needs nothing from outside.

/** What a caller saw; what its library does not show is absent. */
export interface Seen {
  welcome: string;
  compressed: boolean;
  text: string;
  empty: string;
  binary: boolean;
  fragmentsReceived: string;
  inOrder: boolean;
  closed: [number, string];
}

/** Calls `url` and answers what it saw. */
export async function useWebSocket(url: string): Promise<Seen> {
  const socket = new WebSocket(url);
  socket.binaryType = "arraybuffer";
  const heard: (string | ArrayBuffer)[] = [];
  let wake = () => {};
  socket.onmessage = ({ data }) => {
    heard.push(data);
    wake();
  };
  const closed = new Promise<[number, string]>((resolve) => {
    socket.onclose = ({ code, reason }) => resolve([code, reason]);
  });
  const next = async () => {
    while (heard.length === 0 && socket.readyState < WebSocket.CLOSING) {
      await new Promise<void>((resolve) => {
        wake = resolve;
        void closed.then(() => resolve());
      });
    }
    return heard.shift() ?? "";
  };
  const echo = (message: string | Uint8Array<ArrayBuffer>) => {
    socket.send(message);
    return next();
  };
  const welcome = String(await next());
  const text = String(await echo("grüß dich 🧵"));
  const empty = String(await echo(""));
  const bytes = Uint8Array.from({ length: 1024 * 1024 }, (_, index) => index % 256);
  const back = await echo(bytes);
  const received = new Uint8Array(typeof back === "string" ? new ArrayBuffer(0) : back);
  const binary = received.length === bytes.length && received.every((byte, index) => byte === bytes[index]);
  const fragmentsReceived = String(await echo("fragments"));
  for (let number = 0; number < 1000; number++) socket.send(String(number));
  let inOrder = true;
  for (let number = 0; number < 1000; number++) inOrder = (await next()) === String(number) && inOrder;
  socket.send("close");
  return {
    welcome,
    compressed: socket.extensions.includes("permessage-deflate"),
    text,
    empty,
    binary,
    fragmentsReceived,
    inOrder,
    closed: await closed,
  };
}

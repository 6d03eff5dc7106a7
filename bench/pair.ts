// What a connection over mutual TLS costs the two sidecars that it lies between.
import { connect, type Socket } from "node:net";
import { Mesh, memoryOf, until } from "@weft/testkit";

/** kB of resident memory a connection. */
export interface PairCost {
  caller: number;
  called: number;
}

/** Opens `count` connections of bytes, one after the other, each with one over mutual TLS and one to the called program behind it, and lets each carry some both ways. */
export async function memoryPerTlsConnection(count: number): Promise<PairCost> {
  const mesh = await Mesh.start();
  const opened: Socket[] = [];
  try {
    const echo = [process.execPath, "-e", `require("net").createServer((socket) => socket.pipe(socket)).listen(8080)`];
    const called = await mesh.run("backend", echo, { options: ["--port", "80:8080", "--no-publish"] });
    const print = "console.log(process.env.WEFT_UPSTREAM_BACKEND); setInterval(() => {}, 60000)";
    const caller = await mesh.run("load", [process.execPath, "-e", print], {
      options: ["--redirect", "proxy", "--upstream", "backend:80"],
      endpoints: 0,
    });
    const address = await until("the address of the upstream", () => /127\.0\.0\.1:(\d+)/.exec(caller.running.stdout)?.[1]);
    // So that what happens once is not counted.
    opened.push(await open(Number(address)));
    const pids = [await caller.sidecar(), await called.sidecar()];
    const before = pids.map((pid) => memoryOf(pid).resident);
    for (let index = 0; index < count; index += 1) opened.push(await open(Number(address)));
    const [own = Number.NaN, other = Number.NaN] = pids.map((pid, index) => (memoryOf(pid).resident - (before[index] ?? 0)) / 1024 / count);
    return { caller: own, called: other };
  } finally {
    for (const socket of opened) socket.destroy();
    await mesh[Symbol.asyncDispose]();
  }
}

/** A connection that was used. */
function open(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => socket.write("\0hello"));
    socket.once("data", () => resolve(socket)).once("error", reject);
  });
}

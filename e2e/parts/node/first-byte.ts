// How long a server that speaks first takes until its first byte is here, from the start of the connection. The name is looked up before.
//   first-byte.ts HOST PORT COUNT     prints the milliseconds of each connection as JSON
import { lookup } from "node:dns/promises";
import { once } from "node:events";
import { connect } from "node:net";

const [name = "", port = "", count = ""] = process.argv.slice(2);
const { address: host } = await lookup(name, { family: 4 });
const took: number[] = [];
for (let connection = 0; connection < Number(count); connection++) {
  const start = performance.now();
  const socket = connect({ host, port: Number(port) });
  await once(socket, "data");
  took.push(performance.now() - start);
  socket.destroy();
}
console.log(JSON.stringify(took));

// Answers who a user is over HTTP/2 without TLS (h2c).
import { createServer } from "node:http2";

const names = ["Ada", "Barbara", "Grace", "Katherine", "Radia"];

createServer((request, response) => {
  const id = Number(request.url.split("/").at(-1)) || 0;
  response.writeHead(200, { "content-type": "application/json" });
  response.end(JSON.stringify({ id, name: names[id % names.length] }));
}).listen(Number(process.env.PORT ?? 8080), "127.0.0.1");

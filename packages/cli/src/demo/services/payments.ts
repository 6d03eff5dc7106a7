// Takes payments over HTTP/1.1. Every fiftieth fails on purpose, so that there is a success rate to look at.
import { createServer } from "node:http";

let taken = 0;

createServer((_request, response) => {
  taken += 1;
  const declined = taken % 50 === 0;
  setTimeout(() => {
    response.writeHead(declined ? 503 : 200, { "content-type": "application/json" });
    response.end(JSON.stringify({ paid: !declined }));
  }, 2);
}).listen(Number(process.env.PORT ?? 8080), "127.0.0.1");

// The shop's front: HTTP/1.1 for its callers; asks `users` over HTTP/2 and `orders` over gRPC.
import { createServer } from "node:http";
import { credentials, type ServiceError } from "@grpc/grpc-js";
import { Http2Client } from "./http2-client.ts";
import { ordersService } from "./orders-contract.ts";

const users = new Http2Client("http://users");
const orders = new ordersService("orders:80", credentials.createInsecure());

function placeOrder(user: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const deadline = Date.now() + 5000;
    orders.place?.({ user, items: 1 }, { deadline }, (error: ServiceError | null, order: unknown) =>
      error ? reject(error) : resolve(order),
    );
  });
}

createServer(async (request, response) => {
  try {
    const user = JSON.parse(await users.get(`/users/${Math.floor(Math.random() * 5)}`)) as { name: string };
    const order = request.url === "/checkout" ? await placeOrder(user.name) : undefined;
    response.writeHead(200, { "content-type": "application/json" });
    response.end(`${JSON.stringify({ hello: user.name, order })}\n`);
  } catch (error) {
    response.writeHead(502, { "content-type": "text/plain" });
    response.end(`${error instanceof Error ? error.message : String(error)}\n`);
  }
}).listen(Number(process.env.PORT ?? 8080), "127.0.0.1");

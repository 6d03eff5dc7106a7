// Takes orders over gRPC and has them paid by `payments`. DELAY_MS makes an instance slow.
import { Server, ServerCredentials, type sendUnaryData, status } from "@grpc/grpc-js";
import { ordersService } from "./orders-contract.ts";

const delay = Number(process.env.DELAY_MS ?? 1);
let placed = 0;

async function place(): Promise<{ id: number }> {
  await new Promise((resolve) => setTimeout(resolve, delay));
  const payment = await fetch("http://payments/charge", { method: "POST" });
  if (!payment.ok) throw new Error(`payments answered ${payment.status}`);
  placed += 1;
  return { id: placed };
}

const server = new Server();
server.addService(ordersService.service, {
  place: (_call: unknown, done: sendUnaryData<{ id: number }>) => {
    place().then(
      (order) => done(null, order),
      (error: Error) => done({ code: status.UNAVAILABLE, details: error.message }),
    );
  },
});
server.bindAsync(`127.0.0.1:${process.env.PORT ?? 8080}`, ServerCredentials.createInsecure(), (error) => {
  if (error) throw error;
});

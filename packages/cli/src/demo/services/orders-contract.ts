import { loadPackageDefinition, type ServiceClientConstructor } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

const loaded = loadPackageDefinition(loadSync(`${import.meta.dirname}/orders.proto`)) as unknown as {
  shop: { v1: { Orders: ServiceClientConstructor } };
};

/** The gRPC service of orders.proto: a client's constructor, and its `service` for servers. */
export const ordersService = loaded.shop.v1.Orders;

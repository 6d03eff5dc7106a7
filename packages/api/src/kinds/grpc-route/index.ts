import type { z } from "zod";
import { experimental } from "../gateway-api/channel.ts";
import { defineKind } from "../kind.ts";
import { rules } from "./rules.ts";
import { fields } from "./schema.ts";

/** GRPCRoute of Gateway API 1.6, standard channel. */
export const grpcRoute = defineKind({
  group: "gateway.networking.k8s.io",
  version: "v1",
  kind: "GRPCRoute",
  plural: "grpcroutes",
  singular: "grpcroute",
  shortNames: [],
  namespaced: true,
  description:
    "Directs gRPC calls: by service, method and metadata to backends, shared out by weight, changed or copied on their way. With a Service as parent it holds for calls to that Service within the mesh.",
  fields,
  rules,
  removed: { "spec.useDefaultGateways": experimental, "spec.rules[].sessionPersistence": experimental },
});

/** A GRPCRoute, its defaults filled in. */
export type GrpcRoute = z.output<typeof grpcRoute.schema>;

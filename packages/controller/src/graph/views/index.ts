import type { View } from "../view.ts";
import { addressView } from "./address.ts";
import { endpointsView } from "./endpoints.ts";
import { grpcRouteView } from "./grpc-route.ts";
import { httpRouteView } from "./http-route.ts";
import { routesView } from "./routes.ts";
import { serviceView } from "./service.ts";

/** Every view; each may read those before it. A new one is a file beside this one, and a name here. */
export const views: readonly View<unknown>[] = [addressView, serviceView, endpointsView, grpcRouteView, httpRouteView, routesView];

import { endpointSlice } from "./endpoint-slice/index.ts";
import { grpcRoute } from "./grpc-route/index.ts";
import { httpRoute } from "./http-route/index.ts";
import type { Kind } from "./kind.ts";
import { mesh } from "./mesh/index.ts";
import { referenceGrant } from "./reference-grant/index.ts";
import { service } from "./service/index.ts";
import { workload } from "./workload/index.ts";

/** Every kind of resource. A new one is a folder beside this file, and a name here. */
export const kinds: readonly Kind[] = [service, endpointSlice, httpRoute, grpcRoute, referenceGrant, workload, mesh];

/** The kind that a person means by `name`: its kind, plural, singular or a short name, in any case. */
export function findKind(name: string): Kind | undefined {
  const asked = name.toLowerCase();
  return kinds.find((kind) => namesOf(kind).includes(asked));
}

/** All that a kind may be called, in lower case. */
export const namesOf = ({ kind, plural, singular, shortNames }: Kind) => [kind.toLowerCase(), singular, plural, ...shortNames];

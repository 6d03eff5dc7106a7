import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { DiscoveryWatchRequest, DiscoveryWatchResponseSchema } from "@weft/api/proto";
import { DiscoveryStream } from "../discovery/stream.ts";
import type { Services } from "./services.ts";
import { authenticate, converse } from "./session.ts";
import { Wakeup } from "./wakeup.ts";

const digestMs = 10_000;

/** Discovery.Watch. */
export async function* watchDiscovery(
  services: Services,
  requests: AsyncIterable<DiscoveryWatchRequest>,
  context: HandlerContext,
): AsyncGenerator<MessageInitShape<typeof DiscoveryWatchResponseSchema>> {
  const { mesh, faults, log } = services;
  const { id, namespace } = authenticate(services, context);
  const { signal, leave } = services.streams.enter(id, context.signal);
  try {
    const wakeup = new Wakeup();
    const stream = new DiscoveryStream(mesh.table, namespace, wakeup, (rejected) => {
      faults.rejected(id, rejected);
      log.warn({ workload: id, ...rejected }, "a sidecar refused an update");
    });
    const digests = setInterval(() => stream.digest(), digestMs).unref();
    yield* converse(requests, signal, {
      wakeup,
      receive: (message) => stream.receive(message),
      pending: () => stream.pending(),
      ended: () => {
        clearInterval(digests);
        stream.close();
      },
    });
  } finally {
    leave();
  }
}

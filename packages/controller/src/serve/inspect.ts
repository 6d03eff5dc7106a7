import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { InspectServeRequest, InspectServeResponseSchema } from "@weft/api/proto";
import type { Services } from "./services.ts";
import { authenticate, converse } from "./session.ts";
import { Wakeup } from "./wakeup.ts";

/** Inspect.Serve. */
export async function* serveInspect(
  services: Services,
  requests: AsyncIterable<InspectServeRequest>,
  context: HandlerContext,
): AsyncGenerator<MessageInitShape<typeof InspectServeResponseSchema>> {
  const { id } = authenticate(services, context);
  const { signal, leave } = services.streams.enter(id, context.signal);
  try {
    const wakeup = new Wakeup();
    const { receive, pending, close } = services.inspections.connect(id, wakeup.wake);
    yield* converse(requests, signal, { wakeup, receive, pending, ended: close });
  } finally {
    leave();
  }
}

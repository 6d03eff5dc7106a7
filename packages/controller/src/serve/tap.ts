import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { TapServeRequest, TapServeResponseSchema } from "@weft/api/proto";
import type { Services } from "./services.ts";
import { authenticate, converse } from "./session.ts";
import { Wakeup } from "./wakeup.ts";

/** Tap.Serve. */
export async function* serveTap(
  services: Services,
  requests: AsyncIterable<TapServeRequest>,
  context: HandlerContext,
): AsyncGenerator<MessageInitShape<typeof TapServeResponseSchema>> {
  const { id } = authenticate(services, context);
  const { signal, leave } = services.streams.enter(id, context.signal);
  try {
    const wakeup = new Wakeup();
    const { receive, pending, close } = services.taps.connect(id, wakeup.wake);
    yield* converse(requests, signal, { wakeup, receive, pending, ended: close });
  } finally {
    leave();
  }
}

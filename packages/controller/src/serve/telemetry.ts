import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { TelemetryReportRequest, TelemetryReportResponseSchema } from "@weft/api/proto";
import { version } from "../version.ts";
import type { Services } from "./services.ts";
import { authenticate, converse, HelloFirst } from "./session.ts";
import { Wakeup } from "./wakeup.ts";

type Response = MessageInitShape<typeof TelemetryReportResponseSchema>;

/** Telemetry.Report. A drained sidecar's last report is welcome after its workload was removed. */
export async function* report(
  services: Services,
  requests: AsyncIterable<TelemetryReportRequest>,
  context: HandlerContext,
): AsyncGenerator<Response> {
  const workload = authenticate(services, context, { departed: true });
  const { signal, leave } = services.streams.enter(workload.id, context.signal);
  try {
    const wakeup = new Wakeup();
    const hello = new HelloFirst();
    let isRepeated = true;
    const acknowledgements: Response[] = [{ response: { case: "hello", value: { version } } }];
    yield* converse(requests, signal, {
      wakeup,
      receive: async ({ request }) => {
        hello.check(request.case);
        if (request.case !== "report") return;
        const nowMs = Date.now();
        const { sequence, endMs } = await services.telemetry.take(workload, request.value);
        // The first report of a stream may be one of long ago.
        if (!isRepeated) services.clocks.heard(workload.id, endMs, nowMs);
        isRepeated = false;
        // The last one says it all.
        if (acknowledgements.length > 1) acknowledgements.pop();
        acknowledgements.push({ response: { case: "acknowledged", value: sequence } });
        wakeup.wake();
      },
      *pending() {
        for (let next = acknowledgements.shift(); next !== undefined; next = acknowledgements.shift()) yield next;
      },
      ended: () => {},
    });
  } finally {
    leave();
  }
}

import { isIP } from "node:net";
import { isDeepStrictEqual } from "node:util";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { PortMapping } from "@weft/api";
import type { PolicyWatchRequest, PolicyWatchResponseSchema, WorkloadHello } from "@weft/api/proto";
import type { SidecarConnection } from "../mesh.ts";
import { effectivePorts } from "../model/ports.ts";
import type { SidecarRecord, WorkloadRecord } from "../model/records.ts";
import { wireProtocol } from "../protocols.ts";
import { version } from "../version.ts";
import { violation } from "./errors.ts";
import type { Services } from "./services.ts";
import { authenticate, converse, HelloFirst } from "./session.ts";
import { Wakeup } from "./wakeup.ts";

type Response = MessageInitShape<typeof PolicyWatchResponseSchema>;

const maxListeningPorts = 4096;

/** Policy.Watch: while it is open, its workload is alive. */
export async function* watchPolicy(
  services: Services,
  requests: AsyncIterable<PolicyWatchRequest>,
  context: HandlerContext,
): AsyncGenerator<Response> {
  const { mesh, log } = services;
  const { id } = authenticate(services, context);
  const { signal, leave } = services.streams.enter(id, context.signal);
  try {
    const wakeup = new Wakeup();
    const hello = new HelloFirst();
    const policy = new InboundPolicies(
      () => mesh.workload(id)?.record,
      () => mesh.nextRevision(),
    );
    let connection: SidecarConnection | undefined;
    const changed = (workload: string) => workload === id && wakeup.wake();
    mesh.on("workload", changed);
    yield* converse(requests, signal, {
      wakeup,
      receive: ({ request }) => {
        hello.check(request.case);
        if (request.case === "hello") connection = mesh.connect(id, sidecarOf(request.value));
        else if (request.case === "listening") connection?.listening(checkedPorts(request.value.ports));
      },
      pending: () => policy.pending(),
      ended: (ending) => {
        mesh.off("workload", changed);
        connection?.close(ending.orderly);
        log.info({ workload: id, orderly: ending.orderly }, "sidecar disconnected");
      },
    });
  } finally {
    leave();
  }
}

class InboundPolicies {
  readonly #record: () => WorkloadRecord | undefined;
  readonly #nextRevision: () => number;
  #greeted = false;
  #sent: PortMapping[] | undefined;

  constructor(record: () => WorkloadRecord | undefined, nextRevision: () => number) {
    this.#record = record;
    this.#nextRevision = nextRevision;
  }

  *pending(): Generator<Response> {
    if (!this.#greeted) {
      this.#greeted = true;
      yield { response: { case: "hello", value: { version } } };
    }
    const record = this.#record();
    if (record === undefined) return;
    const ports = effectivePorts(record);
    if (isDeepStrictEqual(ports, this.#sent)) return;
    this.#sent = ports;
    const inbound = ports.map(({ servicePort, targetPort, protocol }) => ({ servicePort, targetPort, protocol: wireProtocol(protocol) }));
    yield { response: { case: "inbound", value: { revision: BigInt(this.#nextRevision()), ports: inbound } } };
  }
}

function sidecarOf({ hello, inboundAddress, inboundPort, adminAddress }: WorkloadHello): SidecarRecord {
  if (isIP(inboundAddress) === 0) throw violation(`inbound_address ${JSON.stringify(inboundAddress.slice(0, 100))} is no IP address.`);
  if (inboundPort < 1 || inboundPort > 65535) throw violation(`inbound_port ${inboundPort} is no port.`);
  if (adminAddress.length > 100) throw violation("admin_address is over 100 characters.");
  return { version: (hello?.version ?? "").slice(0, 100), inboundAddress, inboundPort, adminAddress };
}

function checkedPorts(ports: number[]): number[] {
  if (ports.length > maxListeningPorts) throw violation(`Over ${maxListeningPorts} listening ports were named.`);
  const wrong = ports.find((port) => port < 1 || port > 65535);
  if (wrong !== undefined) throw violation(`Listening port ${wrong} is no port.`);
  return [...new Set(ports)].sort((a, b) => a - b);
}

import { createHash } from "node:crypto";
import { isIP } from "node:net";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { WorkloadHello, WorkloadRejection, WorkloadUpdate, WorkloadWatchRequest, WorkloadWatchResponseSchema } from "@weft/api/proto";
import type { SidecarConnection } from "../mesh.ts";
import { effectivePorts } from "../model/ports.ts";
import type { SidecarRecord } from "../model/records.ts";
import { wireProtocol } from "../protocols.ts";
import { version } from "../version.ts";
import { violation } from "./errors.ts";
import type { Services } from "./services.ts";
import { authenticate, converse, HelloFirst } from "./session.ts";
import { trustBundle } from "./trust.ts";
import { Wakeup } from "./wakeup.ts";

type Response = MessageInitShape<typeof WorkloadWatchResponseSchema>;
type Said = Extract<Response["response"], { case: "inbound" | "trustBundle" }>;

const maxListeningPorts = 4096;

/** Workload.Watch: while it is open, its workload is alive. */
export async function* watchWorkload(
  services: Services,
  requests: AsyncIterable<WorkloadWatchRequest>,
  context: HandlerContext,
): AsyncGenerator<Response> {
  const { mesh, log } = services;
  const { id } = authenticate(services, context);
  const { signal, leave } = services.streams.enter(id, context.signal);
  try {
    const wakeup = new Wakeup();
    const hello = new HelloFirst();
    const said = new Map<string, string>();
    let greeted = false;
    let connection: SidecarConnection | undefined;
    const changed = (workload: string) => workload === id && wakeup.wake();
    mesh.on("workload", changed).on("revoked", wakeup.wake);
    yield* converse(requests, signal, {
      wakeup,
      receive: ({ request }) => {
        hello.check(request.case);
        if (request.case === "hello") connection = mesh.connect(id, sidecarOf(request.value));
        else if (request.case === "listening") connection?.listening(checkedPorts(request.value.ports));
        else if (request.case === "acknowledgement") acknowledged(services, id, request.value);
        else if (request.case === "rejection") rejected(services, id, request.value);
      },
      *pending() {
        if (!greeted) yield { response: { case: "hello", value: { version } } };
        greeted = true;
        for (const response of [inboundOf(services, id), { case: "trustBundle" as const, value: trustBundle(services) }]) {
          if (response === undefined) continue;
          const version = versionOf(response);
          if (said.get(response.case) !== version) yield { response };
          said.set(response.case, version);
        }
      },
      ended: (ending) => {
        mesh.off("workload", changed).off("revoked", wakeup.wake);
        connection?.close(ending.orderly);
        log.info({ workload: id, orderly: ending.orderly }, "sidecar disconnected");
      },
    });
  } finally {
    leave();
  }
}

function versionOf(said: Said): string {
  return String(said.case === "inbound" ? said.value.version : said.value.revision);
}

function inboundOf({ mesh }: Services, id: string): Extract<Said, { case: "inbound" }> | undefined {
  const record = mesh.workload(id)?.record;
  if (record === undefined) return undefined;
  const ports = effectivePorts(record).map(({ servicePort, targetPort, protocol }) => ({
    servicePort,
    targetPort,
    protocol: wireProtocol(protocol),
  }));
  const version = createHash("sha256").update(JSON.stringify(ports)).digest("base64url").slice(0, 16);
  return { case: "inbound", value: { version, ports } };
}

function acknowledged({ trusted }: Services, id: string, { update }: WorkloadUpdate): void {
  if (update.case === "trustBundle") trusted.acknowledged(id, Number(update.value));
}

function rejected({ faults, log }: Services, id: string, { rejected, reason }: WorkloadRejection): void {
  const update = rejected?.update;
  const what = update?.case === "trustBundle" ? "trust bundle" : "inbound policy";
  log.warn(
    { workload: id, update: what, version: String(update?.value ?? "").slice(0, 100), reason: reason.slice(0, 300) },
    "update refused",
  );
  faults.rejected(id, { name: what, reason: reason.slice(0, 300) });
}

function sidecarOf({ hello, inboundAddress, inboundPort, adminAddress }: WorkloadHello): SidecarRecord {
  if (isIP(inboundAddress) === 0) throw violation(`inbound_address ${JSON.stringify(inboundAddress.slice(0, 100))} is no IP address.`);
  if (inboundPort < 1 || inboundPort > 65535) throw violation(`inbound_port ${inboundPort} is no port.`);
  if (adminAddress.length > 100) throw violation("admin_address is over 100 characters.");
  const capabilities = hello?.capabilities ?? [];
  if (capabilities.length > 32 || capabilities.some((name) => name.length > 64)) {
    throw violation("There are more than 32 capabilities, or one of over 64 characters.");
  }
  return { version: (hello?.version ?? "").slice(0, 100), capabilities, inboundAddress, inboundPort, adminAddress };
}

function checkedPorts(ports: number[]): number[] {
  if (ports.length > maxListeningPorts) throw violation(`Over ${maxListeningPorts} listening ports were named.`);
  const wrong = ports.find((port) => port < 1 || port > 65535);
  if (wrong !== undefined) throw violation(`Listening port ${wrong} is no port.`);
  return [...new Set(ports)].sort((a, b) => a - b);
}

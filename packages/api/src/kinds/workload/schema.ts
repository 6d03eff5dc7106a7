import { z } from "zod";
import { conditionsSchema } from "../common/conditions.ts";
import { atomicList, mapList, setList } from "../common/lists.ts";
import { dnsLabel, int32, moment, port, text } from "../common/scalars.ts";

const maxPorts = 64;

const portMapping = z.strictObject({
  servicePort: port.describe("Port that callers use."),
  targetPort: port.describe("Port on which the program listens."),
  protocol: z.enum(["http1", "http2", "tcp"]).optional().describe("What is spoken. Default: it is detected."),
});

const spec = z.strictObject({
  service: dnsLabel.describe("Service of which it is an instance."),
  command: atomicList(z.string().max(4096), 1024).optional().describe("Program and arguments."),
  ports: mapList(portMapping, ["servicePort"], maxPorts)
    .optional()
    .describe("Ports as declared. Without any, it serves whatever the program listens on."),
  publish: setList(port, maxPorts).optional().describe("Ports of the service that are wanted on this machine's 127.0.0.1 too."),
});

const status = z.strictObject({
  state: z
    .enum(["Starting", "Live", "Away"])
    .optional()
    .describe("Starting: its sidecar has not connected yet. Live: it is connected. Away: it was, and may come back."),
  registeredAt: moment.optional().describe("When it was registered (RFC 3339)."),
  address: z.ipv4().optional().describe("Its own address within the mesh."),
  identity: text(2048).optional().describe("Its SPIFFE ID."),
  ports: mapList(portMapping, ["servicePort"], maxPorts).optional().describe("Ports that it serves."),
  listening: setList(port, 4096).optional().describe("Ports on which the program listens, as its sidecar sees them."),
  published: setList(port, maxPorts).optional().describe("Ports that are open for it on this machine's 127.0.0.1."),
  redirection: z
    .strictObject({
      way: z.enum(["namespace", "proxy"]).describe("By a network namespace, or by proxy variables."),
      reason: text(2000, 0).optional().describe("Why this way."),
    })
    .optional()
    .describe("How the program's calls reach the sidecar."),
  launcherPid: int32(1).optional().describe("Process of its launcher on the host."),
  programPid: int32(1).optional().describe("Process of its program on the host."),
  sidecar: z
    .strictObject({
      version: text(256).describe("Version of the sidecar."),
      inbound: text(256).describe("Host and port that other sidecars dial."),
      admin: text(256).optional().describe("Host and port of its metrics."),
      restarts: int32(0).default(0).describe("How often it was started again."),
      lastEnd: z
        .strictObject({ reason: text(300, 0).describe("How it ended."), at: moment.describe("When (RFC 3339).") })
        .optional()
        .describe("End of the last one that ended."),
    })
    .optional()
    .describe("The sidecar beside the program."),
  conditions: conditionsSchema.optional(),
});

/** Fields of a Workload. */
export const fields = {
  spec: spec.describe("What was started."),
  status: status.optional().describe("How it runs."),
};

/** What was started. */
export type WorkloadSpec = z.output<typeof spec>;

// Simulated sidecars that speak the real protocol, in a process of their own: `control.ts` forks it and tells it what to do.
import type { ClientHttp2Session } from "node:http2";
import { setTimeout as delay } from "node:timers/promises";
import { create, toBinary } from "@bufbuild/protobuf";
import { ApiClient, statePaths } from "@weft/api";
import {
  CertifyRequestSchema,
  CertifyResponseSchema,
  Direction,
  DiscoveryWatchRequestSchema,
  type DiscoveryWatchResponse,
  DiscoveryWatchResponseSchema,
  Protocol,
  ReportSchema,
  ResourceType,
  TelemetryReportRequestSchema,
  TelemetryReportResponseSchema,
  WorkloadWatchRequestSchema,
  WorkloadWatchResponseSchema,
} from "@weft/api/proto";
import { certificationRequest } from "../../packages/controller/src/testing/fake-sidecar.ts";
import { GrpcStream, openConnection } from "./stream.ts";

const parallel = 50;
const reportMs = 1_000;
const retryMs = 100;

/** What this process is asked to do, one at a time. */
export type Order =
  | { do: "register"; state: string; count: number; servicesEach: number; services: number }
  | { do: "join" }
  | { do: "report"; on: boolean }
  | { do: "await-resumed" }
  | { do: "collect" };

/** What it answers. */
export interface Answer {
  /** Monotonic milliseconds at which what was asked for was so. */
  at: number;
  /** Endpoint addresses that became known since the last time, each with the moments at which sidecars heard of them. */
  heard: [address: string, at: number[]][];
  /** Updates since the last time; of them, those of resources that no alias of the sidecar leads to, and those of what it held already. */
  updates: number;
  strange: number;
  needless: number;
  bytes: number;
}

const counts = { updates: 0, strange: 0, needless: 0 };
const heard = new Map<string, number[]>();
const now = () => Number(process.hrtime.bigint()) / 1e6;

class SimulatedProxy {
  readonly incarnation = BigInt(Math.floor(Math.random() * 2 ** 52));
  readonly aliases: string[];
  readonly #socket: string;
  readonly #credential: string;
  readonly held = new Map<string, { type: ResourceType; name: string; version: string }>();
  readonly #answered = new Set<string>();
  #session: ClientHttp2Session | undefined;
  #discovery: GrpcStream<typeof DiscoveryWatchRequestSchema, typeof DiscoveryWatchResponseSchema> | undefined;
  #telemetry: GrpcStream<typeof TelemetryReportRequestSchema, typeof TelemetryReportResponseSchema> | undefined;
  #sequence = 0n;
  #joined = Promise.withResolvers<void>();

  constructor(socket: string, credential: string, aliases: string[]) {
    this.#socket = socket;
    this.#credential = credential;
    this.aliases = aliases;
  }

  get joined(): Promise<void> {
    return this.#joined.promise;
  }

  get bytes(): number {
    return this.#discovery?.bytes ?? 0;
  }

  connect(): void {
    const session = openConnection(this.#socket);
    this.#session = session;
    const hello = { incarnation: this.incarnation, version: "bench" };
    const lost = () => {
      if (this.#session !== session) return;
      this.#session = undefined;
      this.#joined = Promise.withResolvers();
      this.#answered.clear();
      session.destroy();
      void delay(retryMs * (0.5 + Math.random())).then(() => this.connect());
    };
    session.on("error", lost);
    const workload = new GrpcStream(
      session,
      { path: "/weft.v1.Workload/Watch", out: WorkloadWatchRequestSchema, in: WorkloadWatchResponseSchema, credential: this.#credential },
      { message: () => {}, end: lost },
    );
    const inbound = { inboundAddress: "127.0.0.1", inboundPort: 9, adminAddress: "" };
    workload.send({ request: { case: "hello", value: { hello, ...inbound } } });
    const discovery = new GrpcStream(
      session,
      {
        path: "/weft.v1.Discovery/Watch",
        out: DiscoveryWatchRequestSchema,
        in: DiscoveryWatchResponseSchema,
        credential: this.#credential,
      },
      { message: (message) => this.#take(message), end: lost },
    );
    this.#discovery = discovery;
    discovery.send({ request: { case: "hello", value: hello } });
    if (this.held.size > 0) discovery.send({ request: { case: "held", value: { resources: [...this.held.values()] } } });
    for (const alias of this.aliases) discovery.send({ request: { case: "resolve", value: { alias } } });
    this.#telemetry = new GrpcStream(
      session,
      {
        path: "/weft.v1.Telemetry/Report",
        out: TelemetryReportRequestSchema,
        in: TelemetryReportResponseSchema,
        credential: this.#credential,
      },
      { message: () => {}, end: () => {} },
    );
    this.#telemetry.send({ request: { case: "hello", value: hello } });
  }

  /** A report such as a sidecar has that calls each of its services. */
  report(): void {
    this.#sequence += 1n;
    const endMs = BigInt(Date.now());
    const names = this.aliases.map((alias) => `${alias}.default`);
    const identities = this.aliases.map((alias) => `spiffe://weft.local/ns/default/sa/${alias}`);
    const texts = ["default", "GET", ...names, ...identities];
    const place = (text: string) => texts.indexOf(text) + 1;
    const requests = names.map((name, index) => ({
      direction: Direction.OUTBOUND,
      peer: place(name),
      peerIdentity: place(identities[index] ?? ""),
      port: 80,
      protocol: Protocol.HTTP1,
      route: place("default"),
      method: place("GET"),
      statusClass: 2,
      requests: 20n,
      latency: { indexDeltas: [700, 3, 2, 1, 4, 9], counts: [5n, 5n, 4n, 3n, 2n, 1n], sum: 24_000n },
    }));
    const report = { incarnation: this.incarnation, sequence: this.#sequence, startMs: endMs - BigInt(reportMs), endMs, texts, requests };
    this.#telemetry?.send({ request: { case: "report", value: toBinary(ReportSchema, create(ReportSchema, report)) } });
  }

  #take({ response }: DiscoveryWatchResponse): void {
    const at = now();
    if (response.case === "alias") {
      if (response.value.service === "") return;
      this.#answered.add(response.value.alias);
      if (this.#answered.size === this.aliases.length) this.#joined.resolve();
      return;
    }
    if (response.case === "removal") this.held.delete(`${response.value.type} ${response.value.name}`);
    if (response.case !== "update") return;
    const { resource, content } = response.value;
    if (resource === undefined) return;
    counts.updates += 1;
    const key = `${resource.type} ${resource.name}`;
    if (this.held.get(key)?.version === resource.version) counts.needless += 1;
    if (!this.aliases.some((alias) => resource.name === `${alias}.default`)) counts.strange += 1;
    this.held.set(key, resource);
    if (content.case === "endpoints" && resource.type === ResourceType.ENDPOINTS) {
      for (const { addresses } of content.value.endpoints) {
        const [address = ""] = addresses;
        if (!/^10\.9[89]\./.test(address)) continue;
        const times = heard.get(address) ?? [];
        heard.set(address, times);
        times.push(at);
      }
    }
    this.#discovery?.send({ request: { case: "acknowledgement", value: { resources: [resource] } } });
  }
}

const proxies: SimulatedProxy[] = [];
let reporting: NodeJS.Timeout | undefined;

async function register({ state, count, servicesEach, services }: Order & { do: "register" }): Promise<void> {
  const api = new ApiClient(state);
  const { controlSocket } = statePaths(state);
  // The key is nobody's concern here: one request serves all.
  const csr = await certificationRequest();
  const one = async (index: number) => {
    const { id } = await api.registerWorkload({ service: `caller-${index % 100}`, pid: process.pid });
    const token = await api.token(id);
    const credential = await certify(controlSocket, csr, token);
    const aliases = Array.from({ length: servicesEach }, (_, each) => `service-${(index * servicesEach + each * 7) % services}`);
    proxies.push(new SimulatedProxy(controlSocket, credential, [...new Set(aliases)]));
  };
  let next = 0;
  const worker = async () => {
    while (next < count) await one(next++);
  };
  await Promise.all(Array.from({ length: parallel }, worker));
}

async function certify(socket: string, csr: Uint8Array, token: string): Promise<string> {
  const session = openConnection(socket);
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const call = new GrpcStream(
    session,
    { path: "/weft.v1.Identity/Certify", out: CertifyRequestSchema, in: CertifyResponseSchema, credential: "" },
    { message: ({ credential }) => resolve(credential), end: () => reject(new Error("Certify ended without an answer")) },
  );
  call.send({ csr, proof: { case: "oneTimeToken", value: token } });
  call.finish();
  try {
    return await promise;
  } finally {
    session.close();
  }
}

function report(on: boolean): void {
  clearInterval(reporting);
  if (!on) return;
  // Spread over the second, as real ones are.
  const slices = 20;
  let slice = 0;
  reporting = setInterval(() => {
    for (let index = slice; index < proxies.length; index += slices) proxies[index]?.report();
    slice = (slice + 1) % slices;
  }, reportMs / slices);
}

async function obey(order: Order): Promise<void> {
  if (order.do === "register") await register(order);
  if (order.do === "report") report(order.on);
  if (order.do === "join") for (const proxy of proxies) proxy.connect();
  if (order.do === "join" || order.do === "await-resumed") {
    for (const proxy of proxies) await proxy.joined;
  }
}

process.on("message", (order: Order) => {
  obey(order).then(
    () => {
      const answer: Answer = {
        at: now(),
        heard: order.do === "collect" ? [...heard] : [],
        ...counts,
        bytes: proxies.reduce((sum, { bytes }) => sum + bytes, 0),
      };
      if (order.do === "collect") heard.clear();
      Object.assign(counts, { updates: 0, strange: 0, needless: 0 });
      process.send?.(answer);
    },
    (error: unknown) => {
      process.stderr.write(`${(error as Error).stack}\n`);
      process.exit(1);
    },
  );
});
process.on("disconnect", () => process.exit());

import "reflect-metadata";
import { randomBytes } from "node:crypto";
import { connect } from "node:net";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { type Client, createClient } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import * as x509 from "@peculiar/x509";
import { ApiClient, type RegisteredWorkload, type RegisterWorkload, statePaths } from "@weft/api";
import {
  type CertifyResponse,
  Discovery,
  type DiscoveryWatchRequestSchema,
  type DiscoveryWatchResponse,
  Identity,
  Inspect,
  type InspectServeRequestSchema,
  type InspectServeResponse,
  ReportSchema,
  type ResourceVersion,
  Tap,
  type TapServeRequestSchema,
  type TapServeResponse,
  Telemetry,
  type TelemetryReportRequestSchema,
  type TelemetryReportResponse,
  Workload,
  type WorkloadWatchRequestSchema,
  type WorkloadWatchResponse,
} from "@weft/api/proto";
import { Queue } from "./queue.ts";
import { type ReportContent, reportOf } from "./reports.ts";

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

/** Makes a certification request, DER. */
export async function certificationRequest(how: { name: string; namedCurve: string; hash: string } = algorithm): Promise<Uint8Array> {
  const keys = await crypto.subtle.generateKey(how, true, ["sign", "verify"]);
  const csr = await x509.Pkcs10CertificateRequestGenerator.create({ name: "CN=ignored", keys, signingAlgorithm: how });
  return new Uint8Array(csr.rawData);
}

/** One stream: what was received, and how to say more. */
export class Stream<Out, In> {
  readonly received: In[] = [];
  readonly sent = new Queue<Out>();
  readonly aborted = new AbortController();
  /** Resolves with the error that ended the stream, or undefined. */
  readonly ended: Promise<unknown>;
  #waiting: (() => void)[] = [];

  constructor(open: (sent: AsyncIterable<Out>, signal: AbortSignal) => AsyncIterable<In>, took: (message: In) => void = () => {}) {
    const read = async () => {
      for await (const message of open(this.sent, this.aborted.signal)) {
        this.received.push(message);
        took(message);
        this.#notify();
      }
    };
    this.ended = read().then(
      () => undefined,
      (error: unknown) => error,
    );
    void this.ended.then(() => this.#notify());
  }

  /** Waits until `find` finds something in what was received. */
  async until<T>(find: (received: In[]) => T | undefined): Promise<T> {
    let over = false;
    void this.ended.then(() => {
      over = true;
    });
    for (;;) {
      const found = find(this.received);
      if (found !== undefined) return found;
      if (over) throw (await this.ended) ?? new Error("the stream ended");
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  #notify(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

/** Follows a service, and refuses the first update that leads to it. */
export async function refuse(discovery: ReturnType<FakeSidecar["discovery"]>, alias: string, reason: string): Promise<void> {
  discovery.sent.push({ request: { case: "resolve", value: { alias } } });
  const update = await discovery.until(
    (received) => received.flatMap(({ response }) => (response.case === "update" ? [response.value] : []))[0],
  );
  discovery.sent.push({ request: { case: "rejection", value: { rejected: update.resource as ResourceVersion, held: "", reason } } });
}

/** What a sidecar does towards the controller, for tests: registers like a launcher, then certifies, watches and reports. */
export class FakeSidecar {
  readonly workload: RegisteredWorkload;
  readonly api: ApiClient;
  readonly incarnation = randomBytes(8).readBigUInt64LE();
  readonly identity: Client<typeof Identity>;
  readonly #session: Http2SessionManager;
  readonly #transport;
  certificate: CertifyResponse | undefined;
  sequence = 0n;

  private constructor(stateDir: string, workload: RegisteredWorkload) {
    this.workload = workload;
    this.api = new ApiClient(stateDir);
    this.#session = new Http2SessionManager(
      "http://controller",
      {},
      { createConnection: () => connect(statePaths(stateDir).controlSocket) },
    );
    this.#transport = createGrpcTransport({
      baseUrl: "http://controller",
      sessionManager: this.#session,
      interceptors: [
        (next) => (request) => {
          if (this.certificate !== undefined) request.header.set("authorization", `Bearer ${this.certificate.credential}`);
          return next(request);
        },
      ],
    });
    this.identity = createClient(Identity, this.#transport);
  }

  /** Registers a workload. */
  static async register(stateDir: string, body: Partial<RegisterWorkload> = {}): Promise<FakeSidecar> {
    const workload = await new ApiClient(stateDir).registerWorkload({ service: "users", pid: process.pid, ...body });
    return new FakeSidecar(stateDir, workload);
  }

  /** The same sidecar on a new connection, as after the controller's restart. */
  reconnect(stateDir: string): FakeSidecar {
    this.disconnect();
    const again = new FakeSidecar(stateDir, this.workload);
    Object.assign(again, { certificate: this.certificate, incarnation: this.incarnation, sequence: this.sequence });
    return again;
  }

  /** Gets the first certificate by a one-time token. */
  async certify(): Promise<CertifyResponse> {
    const token = await this.api.token(this.workload.id);
    this.certificate = await this.identity.certify({ csr: await certificationRequest(), proof: { case: "oneTimeToken", value: token } });
    return this.certificate;
  }

  discovery(hello = true): Stream<MessageInitShape<typeof DiscoveryWatchRequestSchema>, DiscoveryWatchResponse> {
    const stream = new Stream<MessageInitShape<typeof DiscoveryWatchRequestSchema>, DiscoveryWatchResponse>((sent, signal) =>
      createClient(Discovery, this.#transport).watch(sent, { signal }),
    );
    if (hello) stream.sent.push({ request: { case: "hello", value: { incarnation: this.incarnation, version: "test" } } });
    return stream;
  }

  /** Opens Workload.Watch, says what the program listens on, and takes every trust bundle. */
  watch(
    listening?: number[],
    inboundPort = 30_000,
    capabilities = ["routes"],
  ): Stream<MessageInitShape<typeof WorkloadWatchRequestSchema>, WorkloadWatchResponse> {
    const stream = new Stream<MessageInitShape<typeof WorkloadWatchRequestSchema>, WorkloadWatchResponse>(
      (sent, signal) => createClient(Workload, this.#transport).watch(sent, { signal }),
      ({ response }) => {
        if (response.case !== "trustBundle") return;
        const update = { case: "trustBundle" as const, value: response.value.revision };
        stream.sent.push({ request: { case: "acknowledgement", value: { update } } });
      },
    );
    const hello = { incarnation: this.incarnation, version: "test", capabilities };
    stream.sent.push({
      request: { case: "hello", value: { hello, inboundAddress: "127.0.0.1", inboundPort, adminAddress: "127.0.0.1:1" } },
    });
    if (listening !== undefined) stream.sent.push({ request: { case: "listening", value: { ports: listening } } });
    return stream;
  }

  telemetry(): Stream<MessageInitShape<typeof TelemetryReportRequestSchema>, TelemetryReportResponse> {
    const stream = new Stream<MessageInitShape<typeof TelemetryReportRequestSchema>, TelemetryReportResponse>((sent, signal) =>
      createClient(Telemetry, this.#transport).report(sent, { signal }),
    );
    stream.sent.push({ request: { case: "hello", value: { incarnation: this.incarnation, version: "test" } } });
    return stream;
  }

  /** Opens Tap.Serve. */
  tap(): Stream<MessageInitShape<typeof TapServeRequestSchema>, TapServeResponse> {
    const stream = new Stream<MessageInitShape<typeof TapServeRequestSchema>, TapServeResponse>((sent, signal) =>
      createClient(Tap, this.#transport).serve(sent, { signal }),
    );
    stream.sent.push({ request: { case: "hello", value: { incarnation: this.incarnation, version: "test" } } });
    return stream;
  }

  /** Opens Inspect.Serve. */
  inspect(): Stream<MessageInitShape<typeof InspectServeRequestSchema>, InspectServeResponse> {
    const stream = new Stream<MessageInitShape<typeof InspectServeRequestSchema>, InspectServeResponse>((sent, signal) =>
      createClient(Inspect, this.#transport).serve(sent, { signal }),
    );
    stream.sent.push({ request: { case: "hello", value: { incarnation: this.incarnation, version: "test" } } });
    return stream;
  }

  /** A report of the last second under the next sequence number. */
  report(content: ReportContent): MessageInitShape<typeof TelemetryReportRequestSchema> {
    const now = Date.now();
    const span = { startMs: BigInt(now - 1000), endMs: BigInt(now) };
    this.sequence++;
    const report = create(ReportSchema, { incarnation: this.incarnation, sequence: this.sequence, ...span, ...reportOf(content) });
    return { request: { case: "report", value: toBinary(ReportSchema, report) } };
  }

  /** Cuts the connection, as when the process is killed. */
  disconnect(): void {
    this.#session.abort();
  }
}

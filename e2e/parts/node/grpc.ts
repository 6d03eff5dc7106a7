// @grpc/grpc-js as caller and called, with bytes as messages. See e2e/matrix/grpc.ts for what is asked.
//   grpc.ts serve PORT | call TARGET
import { once } from "node:events";
import {
  Client,
  compressionAlgorithms,
  credentials,
  Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceError,
  type sendUnaryData,
  status,
} from "@grpc/grpc-js";

const keep = (message: Buffer) => message;
const method = (name: string, requestStream = false, responseStream = false) => ({
  path: `/test.Matrix/${name}`,
  requestStream,
  responseStream,
  requestSerialize: keep,
  requestDeserialize: keep,
  responseSerialize: keep,
  responseDeserialize: keep,
});
const methods = {
  Echo: method("Echo"),
  Fail: method("Fail"),
  Metadata: method("Metadata"),
  Left: method("Left"),
  Count: method("Count", false, true),
  Hang: method("Hang", false, true),
  Sum: method("Sum", true),
  Chat: method("Chat", true, true),
};
type Unary = ServerUnaryCall<Buffer, Buffer>;
type Done = sendUnaryData<Buffer>;

const binary = Buffer.from([0, 1, 254, 255]);

function serve(port: string): void {
  let left = 0;
  const server = new Server();
  server.addService(methods, {
    Echo: ({ request }: Unary, done: Done) => done(null, request),
    Fail: (_: Unary, done: Done) => {
      const metadata = new Metadata();
      metadata.set("why-bin", binary);
      done({ code: status.NOT_FOUND, details: "no such thing: ü 100%\n", metadata });
    },
    Metadata: (call: Unary, done: Done) => {
      const large = String(call.metadata.get("x-large")[0]);
      const [early, late] = [new Metadata(), new Metadata()];
      early.set("x-large", large);
      late.set("x-late", large);
      call.sendMetadata(early);
      done(null, Buffer.alloc(0), late);
    },
    Left: (_: Unary, done: Done) => done(null, Buffer.from(String(left))),
    Count: async (call: ServerWritableStream<Buffer, Buffer>) => {
      for (let sent = 0; sent < Number(call.request.toString()); sent++) {
        if (!call.write(Buffer.alloc(1000, "x"))) await once(call, "drain");
      }
      call.end();
    },
    Hang: (call: ServerWritableStream<Buffer, Buffer>) => {
      call.on("cancelled", () => left++);
    },
    Sum: (call: ServerReadableStream<Buffer, Buffer>, done: Done) => {
      let total = 0;
      call.on("data", (message: Buffer) => {
        total += message.length;
      });
      call.on("end", () => done(null, Buffer.from(String(total))));
    },
    Chat: (call: ServerDuplexStream<Buffer, Buffer>) => {
      call.on("data", (message: Buffer) => call.write(message));
      call.on("end", () => call.end());
    },
  });
  server.bindAsync(`0.0.0.0:${port}`, ServerCredentials.createInsecure(), (error) => {
    if (error) throw error;
  });
}

/** What a unary call brought. */
interface Said {
  answer: Buffer;
  early: Metadata;
  late: Metadata;
  error: ServiceError | null;
}

const limit = () => ({ deadline: Date.now() + 20_000 });

function unary(client: Client, name: string, message = Buffer.alloc(0), metadata = new Metadata()): Promise<Said> {
  return new Promise((resolve) => {
    const said: Said = { answer: Buffer.alloc(0), early: new Metadata(), late: new Metadata(), error: null };
    const call = client.makeUnaryRequest(`/test.Matrix/${name}`, keep, keep, message, metadata, limit(), (error, answer) => {
      said.error = error;
      said.answer = answer ?? said.answer;
    });
    call.on("metadata", (early: Metadata) => Object.assign(said, { early }));
    call.on("status", ({ metadata: late }) => setImmediate(() => resolve({ ...said, late })));
  });
}

async function call(target: string): Promise<void> {
  const client = new Client(target, credentials.createInsecure());
  const saw: Record<string, unknown> = {};
  const megabyte = Buffer.alloc(1024 * 1024, "m");
  saw.unary = (await unary(client, "Echo", Buffer.from("hello"))).answer.toString();
  saw.megabyte = (await unary(client, "Echo", megabyte)).answer.equals(megabyte);
  const gzip = { "grpc.default_compression_algorithm": compressionAlgorithms.gzip };
  const compressing = new Client(target, credentials.createInsecure(), gzip);
  saw.compressed = (await unary(compressing, "Echo", megabyte)).answer.equals(megabyte);
  compressing.close();

  const counted: number[] = [];
  const counting = client.makeServerStreamRequest("/test.Matrix/Count", keep, keep, Buffer.from("1000"), limit());
  for await (const message of counting) counted.push(message.length);
  saw.serverStream = [counted.length, counted.reduce((sum, length) => sum + length, 0)];

  saw.clientStream = await new Promise((resolve, reject) => {
    const summing = client.makeClientStreamRequest("/test.Matrix/Sum", keep, keep, limit(), (error, answer) =>
      error ? reject(error) : resolve(String(answer)),
    );
    for (let sent = 0; sent < 1000; sent++) summing.write(Buffer.alloc(1000, "y"));
    summing.end();
  });

  const chat = client.makeBidiStreamRequest("/test.Matrix/Chat", keep, keep, limit());
  let echoed = 0;
  chat.write(Buffer.from("ping"));
  for await (const message of chat) {
    if (String(message) === "ping") echoed++;
    if (echoed < 100) chat.write(Buffer.from("ping"));
    else chat.end();
  }
  saw.bothWays = [echoed, true];

  const { error, late } = await unary(client, "Fail");
  saw.failure = [error?.code, error?.details, binary.equals(Buffer.from(late.get("why-bin")[0] ?? ""))];
  saw.unimplemented = (await unary(client, "Nothing")).error?.code;

  const metadata = new Metadata();
  metadata.set("x-large", "l".repeat(6000));
  const described = await unary(client, "Metadata", undefined, metadata);
  saw.metadata = [described.early.get("x-large")[0] === "l".repeat(6000), described.late.get("x-late")[0] === "l".repeat(6000)];

  const left = async () => Number((await unary(client, "Left")).answer.toString());
  const before = await left();
  const hang = async (options: { deadline: number }, cancelAfterMs?: number) => {
    const stream = client.makeServerStreamRequest("/test.Matrix/Hang", keep, keep, Buffer.alloc(0), options);
    if (cancelAfterMs !== undefined) setTimeout(() => stream.cancel(), cancelAfterMs);
    stream.resume();
    const [failure] = await once(stream, "error");
    return failure.code;
  };
  saw.deadline = await hang({ deadline: Date.now() + 300 });
  saw.cancelled = (await hang(limit(), 300)) === status.CANCELLED;
  for (const end = Date.now() + 5000; (await left()) < before + 2 && Date.now() < end; ) await new Promise(setImmediate);
  saw.serverSawBoth = (await left()) === before + 2;
  client.close();
  console.log(JSON.stringify(saw));
}

const [role, where = ""] = process.argv.slice(2);
if (role === "serve") serve(where);
else await call(where);

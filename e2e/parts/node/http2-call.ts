// Node's node:http2 as caller, by prior knowledge.
//   http2-call.ts BASE REQUESTS
import { once } from "node:events";
import { connect, constants } from "node:http2";
import { gunzipSync } from "node:zlib";
import type { Answer, Request } from "../../matrix/http.ts";
import { answered, ask } from "./asking.ts";
import { pattern } from "./pattern.ts";

const [base = "", requests = "[]"] = process.argv.slice(2);
const session = connect(base);

const flat = (fields: object) =>
  Object.fromEntries(
    Object.entries(fields)
      .filter(([name]) => !name.startsWith(":"))
      .map(([name, value]) => [name, String(value)]),
  );

async function send({ method = "GET", path, fields = {}, body, chunked, expect, cancelAfterMs }: Request): Promise<Answer> {
  const stream = session.request(
    {
      ":method": method,
      ":path": path,
      ...fields,
      ...(body !== undefined && !chunked && { "content-length": body }),
      ...(expect && { expect: "100-continue" }),
    },
    { endStream: body === undefined },
  );
  const interim: number[] = [];
  let trailers = {};
  let head: Record<string, unknown> = {};
  stream.on("headers", ({ ":status": status }) => interim.push(Number(status)));
  stream.on("response", (received) => {
    head = received;
  });
  stream.on("trailers", (received) => {
    trailers = flat(received);
  });
  if (cancelAfterMs !== undefined) {
    setTimeout(() => stream.close(constants.NGHTTP2_CANCEL), cancelAfterMs);
    await once(stream, "close");
    return { error: "cancelled" };
  }
  // A server need not tell to go on; callers wait for a while.
  if (expect) await Promise.race([once(stream, "continue"), new Promise((resolve) => setTimeout(resolve, 1000))]);
  if (body !== undefined) stream.end(pattern(body));
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  const content = Buffer.concat(chunks);
  const plain = head["content-encoding"] === "gzip" ? gunzipSync(content) : content;
  return answered(Number(head[":status"]), "2", plain, { fields: flat(head), trailers, interim });
}

await ask(JSON.parse(requests), send);
session.close();

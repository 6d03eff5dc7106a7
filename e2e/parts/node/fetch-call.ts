// Node's fetch as caller.
//   fetch-call.ts BASE REQUESTS
import type { Answer, Request } from "../../matrix/http.ts";
import { answered, ask } from "./asking.ts";
import { pattern } from "./pattern.ts";

const [base = "", requests = "[]"] = process.argv.slice(2);

async function send({ method = "GET", path, fields = {}, body, chunked, cancelAfterMs }: Request): Promise<Answer> {
  const bytes = body === undefined ? undefined : pattern(body);
  const sent = bytes && chunked ? new Blob([bytes]).stream() : bytes;
  const signal = AbortSignal.timeout(cancelAfterMs ?? 20_000);
  try {
    const response = await fetch(base + path, { method, headers: fields, signal, ...(sent && { body: sent, duplex: "half" }) });
    return answered(response.status, "", Buffer.from(await response.arrayBuffer()), { fields: Object.fromEntries(response.headers) });
  } catch (error) {
    const { name, message, cause } = error as Error;
    return { error: name === "TimeoutError" ? "cancelled" : `${message}: ${cause}` };
  }
}

await ask(JSON.parse(requests), send);

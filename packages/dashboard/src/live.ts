import type { ErrorBody, Live } from "@weft/api";
import { type Knowledge, nothingKnown, staleAfterMs } from "./phase.ts";

const path = "/weft/v1/live";
const retryMs = 1000;

/** The events in a server-sent event stream, as their data. */
export async function* events(chunks: AsyncIterable<string>): AsyncGenerator<string> {
  let buffered = "";
  for await (const chunk of chunks) {
    buffered += chunk;
    const blocks = buffered.split("\n\n");
    buffered = blocks.pop() ?? "";
    for (const block of blocks) {
      const data = block.split("\n").filter((line) => line.startsWith("data:"));
      if (data.length > 0) yield data.map((line) => line.slice(5).trimStart()).join("\n");
    }
  }
}

async function* texts(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    yield decoder.decode(value, { stream: true });
  }
}

async function refusalOf(response: Response): Promise<Knowledge["refusal"]> {
  const body: Partial<ErrorBody> = await response.json().catch(() => ({}));
  return {
    message: body.error ? `${body.error.message} (${body.error.code})` : `The controller answered with status ${response.status}.`,
    hint: body.error?.hint ?? "",
  };
}

/** Follows the controller's events for ever, connecting anew as often as it takes, and tells what is known after each change. */
export async function follow(tell: (known: Knowledge) => void): Promise<never> {
  let known = nothingKnown;
  const learn = (change: Partial<Knowledge>) => {
    known = { ...known, ...change };
    tell(known);
  };
  for (;;) {
    const silence = new AbortController();
    let timer = setTimeout(() => silence.abort(), staleAfterMs);
    try {
      const response = await fetch(path, { headers: { accept: "text/event-stream" }, cache: "no-store", signal: silence.signal });
      if (!response.ok || !response.body) learn({ connected: false, refusal: await refusalOf(response) });
      else {
        for await (const data of events(texts(response.body))) {
          clearTimeout(timer);
          timer = setTimeout(() => silence.abort(), staleAfterMs);
          learn({ live: JSON.parse(data) as Live, seenAt: Date.now(), connected: true, refusal: undefined });
        }
        learn({ connected: false });
      }
    } catch {
      // Nobody answers, or nothing more comes: both are shown as what they are, a controller that is away.
      learn({ connected: false, refusal: undefined });
    }
    clearTimeout(timer);
    await new Promise((resolve) => setTimeout(resolve, retryMs));
  }
}

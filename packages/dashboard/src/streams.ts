/** The parts of a text that `divider` ends, as they come. */
export async function* linesOf(chunks: AsyncIterable<string>, divider: string): AsyncGenerator<string> {
  let buffered = "";
  for await (const chunk of chunks) {
    const lines = (buffered + chunk).split(divider);
    buffered = lines.pop() ?? "";
    yield* lines;
  }
}

/** The events in a server-sent event stream, as their data. */
export async function* events(chunks: AsyncIterable<string>): AsyncGenerator<string> {
  for await (const block of linesOf(chunks, "\n\n")) {
    const data = block.split("\n").filter((line) => line.startsWith("data:"));
    if (data.length > 0) yield data.map((line) => line.slice(5).trimStart()).join("\n");
  }
}

/** A body as text, as it comes. */
export async function* texts(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    yield decoder.decode(value, { stream: true });
  }
}

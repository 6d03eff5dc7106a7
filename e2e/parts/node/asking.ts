// What Node's callers of the matrix share: requests are read from the command line, answers are printed as JSON.
import { createHash } from "node:crypto";
import type { Answer, Request } from "../../matrix/http.ts";

/** What came back, with what is told of every body. */
export function answered(status: number, version: string, body: Buffer, rest: Partial<Answer> = {}): Answer {
  const text = body.length <= 4000 ? body.toString() : "";
  return { status, version, text, length: body.length, digest: createHash("sha256").update(body).digest("hex"), ...rest };
}

/** Sends each request as often as it says with `send`, and prints the first answer to each; `same` counts those that were like it, unless `send` did. */
export async function ask(requests: Request[], send: (request: Request) => Promise<Answer>): Promise<void> {
  const answers: Answer[] = [];
  for (const request of requests) {
    let first = await send(request);
    for (const deadline = Date.now() + 5000; request.until && first.text !== request.until && Date.now() < deadline; )
      first = await send(request);
    if (first.same !== undefined) {
      answers.push(first);
      continue;
    }
    const others: Answer[] = [];
    const more = (request.times ?? 1) - 1;
    if (request.parallel) others.push(...(await Promise.all(Array.from({ length: more }, () => send(request)))));
    else for (let sent = 0; sent < more; sent++) others.push(await send(request));
    const same = 1 + others.filter(({ status, digest }) => status === first.status && digest === first.digest).length;
    answers.push({ ...first, same });
  }
  console.log(JSON.stringify(answers));
}

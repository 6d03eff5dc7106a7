import type { ErrorBody, Live } from "@weft/api";
import { type Knowledge, nothingKnown, staleAfterMs } from "./phase.ts";
import { events, texts } from "./streams.ts";

const path = "/weft/v1/live";
const retryMs = 1000;

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

import type { TapLine, TapRequest, Workload } from "@weft/api";
import { linesOf, texts } from "./streams.ts";

/** What the page shows to the user alone. */
export interface Details {
  workloads: Workload[];
  /** Latest first. */
  requests: TapRequest[];
}

/** Most requests that are shown. */
const maxRequests = 30;
/** Most that are asked for in a second: they are looked at, not counted. */
const requestsPerSecond = 20;
const workloadsMs = 2000;
const retryMs = 1000;

/** Requests with one more, of which the oldest go. */
export const withRequest = (requests: readonly TapRequest[], next: TapRequest): TapRequest[] => [next, ...requests].slice(0, maxRequests);

/** Follows what the user alone sees, for ever, and tells it after each change; undefined once the controller does not know the login any more. */
export async function followDetails(token: string, tell: (details: Details | undefined) => void): Promise<void> {
  let details: Details = { workloads: [], requests: [] };
  let isKnown = true;
  const learn = (change: Partial<Details>) => {
    details = { ...details, ...change };
    if (isKnown) tell(details);
  };
  const ask = async (path: string) => {
    const response = await fetch(`/weft/v1/${path}`, { headers: { authorization: `Bearer ${token}` }, cache: "no-store" });
    if (response.status === 403) {
      isKnown = false;
      tell(undefined);
    }
    return response;
  };
  // The controller may be away; the page says so by itself.
  const repeat = async (ms: number, attempt: () => Promise<void>) => {
    while (isKnown) {
      await attempt().catch(() => undefined);
      await new Promise((resolve) => setTimeout(resolve, ms));
    }
  };
  const workloads = async () => {
    const response = await ask("workloads");
    if (response.ok) learn({ workloads: (await response.json()) as Workload[] });
  };
  const requests = async () => {
    const response = await ask(`tap?maxRps=${requestsPerSecond}`);
    if (!response.ok || !response.body) return;
    for await (const line of linesOf(texts(response.body), "\n")) {
      const tapped = JSON.parse(line) as TapLine;
      if (tapped.kind === "request") learn({ requests: withRequest(details.requests, tapped) });
    }
  };
  await Promise.all([repeat(workloadsMs, workloads), repeat(retryMs, requests)]);
}

import type { ServerResponse } from "node:http";
import { defaultTapRps, type TapLine, type TapQuery } from "@weft/api";
import { identityOf, ownerKey } from "../model/records.ts";
import { isShownByCaller, type Member, planTap } from "../tap/plan.ts";
import { showRequest } from "../tap/show.ts";
import type { Tap } from "../tap/taps.ts";
import type { Services } from "./services.ts";

const statusMs = 1000;

/** Answers `GET /tap`: a line for each request, until the reader leaves. */
export async function serveTapping(
  { mesh, taps }: Pick<Services, "mesh" | "taps">,
  query: TapQuery,
  response: ServerResponse,
): Promise<void> {
  const members = (): Member[] =>
    mesh.workloads().map(({ record }) => ({ id: record.id, service: ownerKey(record), reachable: taps.reaches(record.id) }));
  const legs = planTap(query, members());
  const memberOf = (id: string) => {
    const record = mesh.known(id);
    return record === undefined ? undefined : { id, service: ownerKey(record), identity: identityOf(record) };
  };
  const started: Tap[] = [];
  const stop = () => {
    for (const tap of started) tap.stop();
  };
  try {
    for (const { filter, wants } of legs) {
      started.push(
        taps.start(filter, (id) => {
          const member = memberOf(id);
          return member !== undefined && wants(member);
        }),
      );
    }
  } catch (error) {
    stop();
    throw error;
  }
  response.once("close", stop);
  response.writeHead(200, { "content-type": "application/x-ndjson", "cache-control": "no-store" });

  const meter = new Meter(query.maxRps ?? defaultTapRps);
  const write = async (line: TapLine) => {
    if (!response.write(`${JSON.stringify(line)}\n`)) await writable(response);
  };
  const watching = () => {
    const wanted = members().filter((member) => legs.some(({ wants }) => wants(member)));
    const unreachable = wanted.filter(({ reachable }) => !reachable).map(({ id }) => id);
    return { kind: "watching" as const, sidecars: wanted.length - unreachable.length, unreachable };
  };
  let last = "";
  // What there is to say of the tap itself; a reader that is behind hears it later.
  const report = () => {
    if (response.writableNeedDrain || response.closed) return;
    const now = watching();
    if (JSON.stringify(now) !== last) void write(now);
    last = JSON.stringify(now);
    const dropped = meter.takeDropped();
    if (dropped > 0) void write({ kind: "dropped", requests: dropped, error: "" });
  };
  report();
  const timer = setInterval(report, statusMs);

  const read = async (tap: Tap) => {
    for await (const tapped of tap) {
      if (tapped.kind === "dropped") {
        if (tapped.error === "") meter.drop(tapped.requests);
        else await write({ kind: "dropped", requests: tapped.requests, error: tapped.error });
        continue;
      }
      const member = memberOf(tapped.workload);
      if (member === undefined) continue;
      const request = showRequest(tapped.event, { workload: member.id, service: member.service, identity: member.identity });
      // A sidecar carries calls of others too, those of anonymous callers.
      if (query.from !== undefined && request.from !== query.from) continue;
      if (request.side === "called" && isShownByCaller(legs, request, members())) continue;
      if (meter.passes(Date.now())) await write(request);
    }
  };
  try {
    await Promise.all(started.map(read));
  } finally {
    clearInterval(timer);
    stop();
    response.end();
  }
}

/** Resolves when a response takes more, or its reader is gone. */
function writable(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      response.off("drain", done).off("close", done);
      resolve();
    };
    if (response.closed) done();
    else response.on("drain", done).on("close", done);
  });
}

/** Lets so many pass in a second, and counts the others. */
class Meter {
  readonly #max: number;
  #second = 0;
  #passed = 0;
  #dropped = 0;

  constructor(max: number) {
    this.#max = max;
  }

  passes(nowMs: number): boolean {
    const second = Math.floor(nowMs / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#passed = 0;
    }
    if (this.#passed >= this.#max) {
      this.#dropped++;
      return false;
    }
    this.#passed++;
    return true;
  }

  drop(requests: number): void {
    this.#dropped += requests;
  }

  /** What was not let through since the last call. */
  takeDropped(): number {
    const dropped = this.#dropped;
    this.#dropped = 0;
    return dropped;
  }
}

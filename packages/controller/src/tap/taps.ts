import type { MessageInitShape } from "@bufbuild/protobuf";
import { weftError } from "@weft/api";
import type { TapServeRequest, TapServeResponseSchema, TapStartSchema } from "@weft/api/proto";
import { HelloFirst } from "../serve/session.ts";
import { version } from "../version.ts";
import { Feed, Room, type Tapped } from "./feed.ts";

/** Which requests a tap wants: TapStart without its id, see proto/weft/v1/tap.proto. What is not set matches everything. */
export type TapFilter = Omit<MessageInitShape<typeof TapStartSchema>, "$typeName" | "tapId">;

/** At most this many taps at a time, as many as a sidecar serves. */
export const maxTaps = 16;

type Response = MessageInitShape<typeof TapServeResponseSchema>;

/** A tap that goes on until it is stopped, or the reading of it ends. */
export interface Tap extends AsyncIterable<Tapped> {
  stop(): void;
}

interface Running {
  filter: TapFilter;
  wants(workload: string): boolean;
  feed: Feed;
}

/** The Tap.Serve stream of a sidecar. */
export interface SidecarTap {
  receive(message: TapServeRequest): void;
  /** What there is to say to the sidecar. */
  pending(): Iterable<Response>;
  close(): void;
}

interface Link {
  say(message: Response): void;
}

/** Asks sidecars for the requests that they carry. */
export class Taps {
  readonly #links = new Map<string, Link>();
  readonly #running = new Map<bigint, Running>();
  readonly #room = new Room();
  #lastId = 0n;

  /** Whether the sidecar of a workload can be asked now. */
  reaches(workload: string): boolean {
    return this.#links.has(workload);
  }

  /**
   * Starts a tap at every sidecar whose workload `wants` names, also at those that connect later. It runs from now on, read or not. Throws
   * WEFT-C-TOO-MANY.
   */
  start(filter: TapFilter, wants: (workload: string) => boolean): Tap {
    if (this.#running.size >= maxTaps) throw weftError("WEFT-C-TOO-MANY", `${maxTaps} taps run already, and no more are allowed.`);
    const id = ++this.#lastId;
    const running: Running = { filter, wants, feed: new Feed(this.#room) };
    this.#running.set(id, running);
    for (const [workload, { say }] of this.#links) if (wants(workload)) say(startOf(id, running));
    const stop = () => {
      running.feed.stop();
      if (!this.#running.delete(id)) return;
      for (const { say } of this.#links.values()) say({ response: { case: "stop", value: { tapId: id } } });
    };
    async function* read(): AsyncGenerator<Tapped> {
      try {
        yield* running.feed.read();
      } finally {
        stop();
      }
    }
    return { stop, [Symbol.asyncIterator]: read };
  }

  /** Takes in the stream that a sidecar opened; a newer one of the same workload replaces the older. `wake` is called when there is something to say. */
  connect(workload: string, wake: () => void): SidecarTap {
    const said: Response[] = [{ response: { case: "hello", value: { version } } }];
    const say = (message: Response) => {
      said.push(message);
      wake();
    };
    const link: Link = { say };
    const close = () => {
      if (this.#links.get(workload) === link) this.#links.delete(workload);
    };
    // A tap that ended a moment ago, or that this sidecar was never asked for, gets nothing.
    const feedOf = (tapId: bigint) => {
      const running = this.#running.get(tapId);
      return running?.wants(workload) ? running.feed : undefined;
    };
    const hello = new HelloFirst();
    const receive = ({ request }: TapServeRequest) => {
      hello.check(request.case);
      switch (request.case) {
        case "hello":
          this.#links.set(workload, link);
          for (const [id, running] of this.#running) if (running.wants(workload)) say(startOf(id, running));
          return;
        case "event":
          return feedOf(request.value.tapId)?.event(workload, request.value);
        case "dropped":
          return feedOf(request.value.tapId)?.drop(workload, Number(request.value.events), request.value.error);
      }
    };
    function* pending(): Generator<Response> {
      for (let next = said.shift(); next !== undefined; next = said.shift()) yield next;
    }
    return { receive, pending, close };
  }
}

function startOf(tapId: bigint, { filter }: Running): Response {
  return { response: { case: "start", value: { ...filter, tapId } } };
}

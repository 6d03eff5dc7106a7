import { EventEmitter } from "node:events";
import type { IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import { Code } from "@connectrpc/connect";
import type { Flow } from "../flow.ts";
import { toConnectError } from "../serve/errors.ts";
import type { Services } from "../serve/services.ts";
import { authenticate } from "../serve/session.ts";
import { Directory } from "./directory.ts";
import { Session, type Standing } from "./session.ts";
import { refuse, WatchStream } from "./stream.ts";
import { Turns } from "./turns.ts";

/** Path of Discovery.Watch. */
export const watchPath = "/weft.v1.Discovery/Watch";

interface Events {
  /** Where a resource stands with some sidecar has changed. */
  progress: [resource: string];
}

/** Discovery.Watch of all sidecars. */
export class Sessions extends EventEmitter<Events> {
  readonly #directory: Directory;
  readonly #turns = new Turns();
  readonly #open = new Map<Session, string>();

  constructor(flow: Flow) {
    super();
    this.#directory = new Directory(flow);
  }

  /** Workloads are expected back no more: who waits for them may be answered. */
  arrived(): void {
    for (const session of this.#open.keys()) session.arrived();
  }

  /** Where a resource stands with each sidecar whose application leads to it, by workload. */
  *standings(resource: string): Iterable<[workload: string, standing: Standing]> {
    for (const [session, workload] of this.#open) {
      const standing = session.standing(resource);
      if (standing !== undefined) yield [workload, standing];
    }
  }

  /** Serves a stream of Discovery.Watch. */
  serve(services: Omit<Services, "sessions">, stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    const { log } = services;
    const aborted = new AbortController();
    stream.on("error", (error) => log.debug({ error: error.message }, "a sidecar's stream failed"));
    stream.once("close", () => aborted.abort());
    const failed = (error: unknown) => {
      const { code, message } = toConnectError(error);
      // Where a refusal was made says its code; where a fault happened does only its stack.
      const cause = code === Code.Internal && error instanceof Error ? { cause: error.stack } : {};
      log.info({ method: "Watch", error: message, ...cause }, "a sidecar's call ended with an error");
    };
    try {
      const { id, namespace } = authenticate(services, { requestHeader: { get: (name: string) => headers[name]?.toString() ?? null } });
      this.#serve(services, stream, { id, namespace, aborted, failed });
    } catch (error) {
      failed(error);
      refuse(stream, error);
    }
  }

  #serve(
    { mesh, streams, faults, log }: Omit<Services, "sessions">,
    stream: ServerHttp2Stream,
    { id, namespace, aborted, failed }: { id: string; namespace: string; aborted: AbortController; failed(error: unknown): void },
  ): void {
    const { signal, leave } = streams.enter(id, aborted.signal);
    const session = new Session({
      directory: this.#directory,
      namespace,
      isExpecting: (key) => mesh.isExpecting(key),
      wake: () => watch.wake(),
      rejected: (rejected) => {
        faults.rejected(id, rejected);
        log.warn({ workload: id, ...rejected }, "a sidecar refused an update");
      },
      progress: (resource) => this.emit("progress", resource),
      now: () => performance.now(),
    });
    this.#open.set(session, id);
    const side = {
      receive: session.receive.bind(session),
      next: () => session.next(),
      get dueAt() {
        return session.dueAt;
      },
      ended: (error: unknown) => {
        this.#open.delete(session);
        session.close();
        leave();
        if (error !== undefined && !aborted.signal.aborted) failed(error);
      },
    };
    const watch = new WatchStream(stream, side, this.#turns, signal);
    watch.wake();
  }
}

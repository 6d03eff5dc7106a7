import { weftError } from "@weft/api";
import type { Credentials } from "../ca/proofs.ts";
import type { Mesh } from "../mesh.ts";
import type { WorkloadRecord } from "../model/records.ts";
import { violation } from "./errors.ts";
import type { Wakeup } from "./wakeup.ts";

/** The registered workload whose credential a stream carries. `departed` also accepts one that was removed less than a minute ago. */
export function authenticate(
  { mesh, credentials }: { mesh: Mesh; credentials: Credentials },
  context: { requestHeader: Pick<Headers, "get"> },
  { departed = false } = {},
): WorkloadRecord {
  const [scheme, credential = ""] = (context.requestHeader.get("authorization") ?? "").split(" ");
  const id = scheme?.toLowerCase() === "bearer" ? credentials.verify(credential) : undefined;
  if (id === undefined) throw weftError("WEFT-C-CREDENTIAL-REFUSED", "The stream carries no credential of this controller.");
  const record = departed ? mesh.known(id) : mesh.workload(id)?.record;
  if (record === undefined) throw unregistered(mesh, id);
  return record;
}

/** Why a workload that proves itself is not served. */
export function unregistered({ tombstones }: Mesh, id: string): Error {
  if (tombstones.has(id)) return weftError("WEFT-C-WORKLOAD-REMOVED", `Workload ${id} was removed by a person, and does not come back.`);
  return weftError("WEFT-C-WORKLOAD-FORGOTTEN", `Workload ${id} is not registered any more.`);
}

/** How the sidecar's side of a stream ended. */
export type Ending = { orderly: true } | { orderly: false; error: unknown };

/**
 * Answers a bidirectional stream: `receive` takes each message as it comes, `pending` gives what there is to say whenever something woke the
 * stream. It ends when the sidecar's side does. A reader that is slow is asked again only when it took what it was given.
 */
export async function* converse<In, Out>(
  requests: AsyncIterable<In>,
  signal: AbortSignal,
  side: {
    wakeup: Wakeup;
    /** A message is taken when the one before was. */
    receive(message: In): void | Promise<void>;
    pending(): Iterable<Out>;
    ended(ending: Ending): void;
  },
): AsyncGenerator<Out> {
  const { wakeup } = side;
  const state: { ending?: Ending } = {};
  const end = (ending: Ending) => {
    state.ending ??= ending;
    wakeup.wake();
  };
  const aborted = () => end({ orderly: false, error: signal.reason });
  signal.addEventListener("abort", aborted);
  const reading = async () => {
    for await (const message of requests) {
      if (state.ending !== undefined) return;
      await side.receive(message);
    }
  };
  reading().then(
    () => end({ orderly: true }),
    (error: unknown) => end({ orderly: false, error }),
  );
  try {
    for (;;) {
      for (const message of side.pending()) yield message;
      if (state.ending !== undefined) break;
      await wakeup.wait();
    }
    if (!state.ending.orderly) throw state.ending.error;
  } finally {
    signal.removeEventListener("abort", aborted);
    side.ended(state.ending ?? { orderly: false, error: undefined });
  }
}

/** Checks that a stream begins with Hello and has no second one. */
export class HelloFirst {
  #seen = false;

  check(kind: string | undefined): void {
    if (!this.#seen && kind !== "hello") throw violation("The first message of a stream must be Hello.");
    if (this.#seen && kind === "hello") throw violation("Hello was sent twice on one stream.");
    this.#seen = true;
  }
}

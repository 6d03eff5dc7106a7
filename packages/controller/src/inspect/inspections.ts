import type { MessageInitShape } from "@bufbuild/protobuf";
import { weftError } from "@weft/api";
import type { Description, InspectServeRequest, InspectServeResponseSchema } from "@weft/api/proto";
import { HelloFirst } from "../serve/session.ts";
import { version } from "../version.ts";

/** At most this many questions wait for one sidecar. */
const maxQuestions = 64;
const describeMs = 2_000;

type Response = MessageInitShape<typeof InspectServeResponseSchema>;

/** The Inspect.Serve stream of a sidecar. */
export interface SidecarInspection {
  receive(message: InspectServeRequest): void;
  /** What there is to say to the sidecar. */
  pending(): Iterable<Response>;
  close(): void;
}

interface Question {
  resolve(description: Description): void;
  reject(error: Error): void;
}

interface Link {
  say(message: Response): void;
  questions: Map<bigint, Question>;
}

/** Asks sidecars for what they hold. */
export class Inspections {
  readonly #links = new Map<string, Link>();
  #lastId = 0n;

  /** Whether the sidecar of a workload can be asked now. */
  reaches(workload: string): boolean {
    return this.#links.has(workload);
  }

  /**
   * What the sidecar of a workload holds: of one service, named as its program would, or of all when `service` is empty. Rejects with WEFT-C-SIDECAR-AWAY
   * when the sidecar is not connected, with WEFT-C-SIDECAR-SILENT when it does not answer within `limitMs`, with WEFT-C-TOO-MANY.
   */
  async describe(workload: string, service = "", limitMs = describeMs): Promise<Description> {
    const link = this.#links.get(workload);
    if (link === undefined) throw away(workload);
    if (link.questions.size >= maxQuestions) throw weftError("WEFT-C-TOO-MANY", `${maxQuestions} questions wait for workload ${workload}.`);
    const questionId = ++this.#lastId;
    const { promise, resolve, reject } = Promise.withResolvers<Description>();
    const silent = () => reject(weftError("WEFT-C-SIDECAR-SILENT", `The sidecar of ${workload} did not answer within ${limitMs} ms.`));
    const timer = setTimeout(silent, limitMs);
    link.questions.set(questionId, { resolve, reject });
    link.say({ response: { case: "describe", value: { questionId, service } } });
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      link.questions.delete(questionId);
    }
  }

  /** Takes in the stream that a sidecar opened; a newer one of the same workload replaces the older. `wake` is called when there is something to say. */
  connect(workload: string, wake: () => void): SidecarInspection {
    const said: Response[] = [{ response: { case: "hello", value: { version } } }];
    const say = (message: Response) => {
      said.push(message);
      wake();
    };
    const link: Link = { say, questions: new Map() };
    const hello = new HelloFirst();
    return {
      receive: ({ request }) => {
        hello.check(request.case);
        if (request.case === "hello") this.#links.set(workload, link);
        else if (request.case === "description") link.questions.get(request.value.questionId)?.resolve(request.value);
      },
      *pending() {
        for (let next = said.shift(); next !== undefined; next = said.shift()) yield next;
      },
      close: () => {
        if (this.#links.get(workload) === link) this.#links.delete(workload);
        for (const { reject } of link.questions.values()) reject(away(workload));
      },
    };
  }
}

function away(workload: string): Error {
  return weftError("WEFT-C-SIDECAR-AWAY", `The sidecar of ${workload} is not connected.`);
}

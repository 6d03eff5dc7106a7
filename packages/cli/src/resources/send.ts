import type { Kind } from "@weft/api/kinds";
import { WeftError, weftError } from "@weft/api/light";
import { type ApiObject, isConflict, isUnknown, type ResourceClient, type WriteOptions } from "@weft/client";
import { parallel } from "./parallel.ts";
import { type Step, stepFor, type Verb, type Wanted } from "./plan.ts";
import { shownObject } from "./targets.ts";

/** What became of a document. */
export interface Applied {
  wanted: Wanted;
  verb: Verb;
  /** As the server has it now; after a dry run, as it would. */
  object: ApiObject;
}

/** What came of many. */
export interface Outcome {
  done: Applied[];
  failed: { wanted: Wanted; error: WeftError }[];
  /** What was not begun, because something had failed. */
  left: Wanted[];
}

// So often others may come first.
const attempts = 5;
// From so many on, listing a namespace takes less than asking for each object.
const listFrom = 20;

/** What has to be done for each. */
export async function plan(client: ResourceClient, wanted: readonly Wanted[]): Promise<Step[]> {
  const groups = Map.groupBy(wanted, ({ kind, object }) => `${kind.plural}/${object.metadata.namespace ?? ""}`);
  const live = new Map<Wanted, ApiObject | undefined>();
  for (const group of groups.values()) {
    const [{ kind, object }] = group as [Wanted];
    if (group.length >= listFrom) {
      const { items } = await client.list(kind, { namespace: object.metadata.namespace });
      const byName = new Map(items.map((item) => [item.metadata.name, item]));
      for (const each of group) live.set(each, byName.get(each.object.metadata.name));
    } else {
      const found = await parallel(group, async (each) => live.set(each, await lookUp(client, each.kind, each.object.metadata)));
      for (const each of found) if (each.status === "rejected") throw each.reason;
    }
  }
  return wanted.map((each) => stepFor(each, live.get(each)));
}

/** The object, if there is one. */
export async function lookUp(client: ResourceClient, kind: Kind, { name, namespace }: ApiPlace): Promise<ApiObject | undefined> {
  try {
    return await client.get(kind, { name, namespace });
  } catch (error) {
    if (isUnknown(error)) return undefined;
    throw error;
  }
}

interface ApiPlace {
  name: string;
  namespace?: string | undefined;
}

/** Sends steps in their order: those of one kind at the same time, and of the next only when all of them are done. Ends with the first that fails. */
export async function send(client: ResourceClient, steps: readonly Step[], onDone: (applied: Applied) => void): Promise<Outcome> {
  const outcome: Outcome = { done: [], failed: [], left: [] };
  for (const group of Map.groupBy(steps, ({ wanted }) => wanted.kind).values()) {
    if (outcome.failed.length > 0) {
      outcome.left.push(...group.map(({ wanted }) => wanted));
      continue;
    }
    const results = await parallel(group, (step) => sendOne(client, step));
    for (const [index, { wanted }] of group.entries()) {
      const result = results[index];
      if (result === undefined) outcome.left.push(wanted);
      else if (result.status === "rejected") outcome.failed.push({ wanted, error: about(wanted, result.reason) });
      else {
        outcome.done.push(result.value);
        onDone(result.value);
      }
    }
  }
  return outcome;
}

/** Asks the server about all steps, and changes nothing. What one refusal says is no reason to keep quiet about others. */
export async function tryOut(client: ResourceClient, steps: readonly Step[]): Promise<{ done: Applied[]; errors: WeftError[] }> {
  const results = await parallel(steps, async (step) => {
    try {
      return await sendOne(client, step, { dryRun: true });
    } catch (error) {
      if (error instanceof WeftError && !error.code.startsWith("WEFT-L-")) return about(step.wanted, error);
      throw error;
    }
  });
  const answers = results.map((result) => {
    if (result.status === "rejected") throw result.reason;
    return result.value;
  });
  return {
    done: answers.filter((each): each is Applied => !(each instanceof WeftError)),
    errors: answers.filter((each) => each instanceof WeftError),
  };
}

/** Makes one change, on what is there at this moment: when somebody else changed it meanwhile, it is merged anew. */
async function sendOne(client: ResourceClient, step: Step, options: WriteOptions = {}): Promise<Applied> {
  const { wanted } = step;
  let { verb, object } = step;
  for (let attempt = 1; ; attempt++) {
    checkBase(wanted, verb === "create" ? undefined : (object.metadata as ApiObject["metadata"]));
    try {
      if (verb === "none") return { wanted, verb, object: object as ApiObject };
      const answer = verb === "create" ? client.create(wanted.kind, object, options) : client.update(wanted.kind, object, options);
      return { wanted, verb, object: await answer };
    } catch (error) {
      const isOvertaken = isConflict(error) || isUnknown(error) || (error instanceof WeftError && error.code === "WEFT-C-OBJECT-EXISTS");
      if (!isOvertaken || attempt === attempts) throw error;
      ({ verb, object } = stepFor(wanted, await lookUp(client, wanted.kind, object.metadata)));
    }
  }
}

/** A document that says on which version it is based changes no other. */
function checkBase({ basedOn, kind, object }: Wanted, live: ApiObject["metadata"] | undefined): void {
  if (basedOn === undefined || live?.resourceVersion === basedOn) return;
  const now = live === undefined ? "is not there any more" : `has version ${live.resourceVersion} now`;
  throw weftError(
    "WEFT-C-OBJECT-CHANGED",
    `The document is based on version ${basedOn} of ${shownObject(kind, object.metadata.name)}, which ${now}.`,
    { hint: "Begin with what is there now, or leave metadata.resourceVersion out to change it whatever its version." },
  );
}

function about({ kind, object, place }: Wanted, error: unknown): WeftError {
  if (!(error instanceof WeftError)) throw error;
  return new WeftError(error.code, `${place}: ${shownObject(kind, object.metadata.name)}: ${error.message}`, error.hint, { cause: error });
}

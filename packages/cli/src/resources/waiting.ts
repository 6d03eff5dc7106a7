import type { Kind } from "@weft/api/kinds";
import { type ApiObject, follow, type ResourceClient } from "@weft/client";
import { cliError } from "../errors.ts";
import { counted } from "../numbers.ts";
import { complain } from "../output.ts";
import { progress } from "../terminal.ts";
import { standingOf } from "./conditions.ts";
import type { Applied } from "./send.ts";
import { shownObject } from "./targets.ts";

/** What an object is waited for to be. */
export interface Wish {
  kind: Kind;
  name: string;
  namespace?: string | undefined;
  /** Judges the object; undefined when it is not there. A text says what is missing; an error that stays for a second ends the waiting. */
  judge(object: ApiObject | undefined): true | string | Error;
}

// What was applied with it may not have been looked at yet.
const hopelessMs = 1000;

/** Waits until all wishes are true, at most so many seconds. Answers those that are not, with what is missing. */
export async function waitFor(
  client: ResourceClient,
  wishes: readonly Wish[],
  seconds: number,
  text: string,
): Promise<Map<Wish, string | Error>> {
  const open = new Map<Wish, string | Error>(wishes.map((wish) => [wish, "nothing is known of it"]));
  const ending = AbortSignal.timeout(seconds * 1000);
  const groups = Map.groupBy(wishes, ({ kind, namespace = "" }) => `${kind.plural}/${namespace}`);
  const done = progress(text);
  try {
    await Promise.all([...groups.values()].map((group) => watchGroup(client, group, open, ending)));
  } finally {
    done();
  }
  return open;
}

async function watchGroup(
  client: ResourceClient,
  group: readonly Wish[],
  open: Map<Wish, string | Error>,
  ending: AbortSignal,
): Promise<void> {
  const [{ kind, namespace }] = group as [Wish];
  const byName = Map.groupBy(group, ({ name }) => name);
  const pending = new Set(group);
  const hopeless = new Map<Wish, NodeJS.Timeout>();
  const seen = new Set<string>();
  const done = new AbortController();
  const settle = (wish: Wish) => {
    pending.delete(wish);
    if (pending.size === 0) done.abort();
  };
  const judge = (name: string, object: ApiObject | undefined) => {
    for (const wish of byName.get(name) ?? []) {
      if (!pending.has(wish)) continue;
      clearTimeout(hopeless.get(wish));
      const verdict = wish.judge(object);
      if (verdict === true) open.delete(wish);
      else open.set(wish, verdict);
      if (verdict === true) settle(wish);
      else if (verdict instanceof Error) hopeless.set(wish, setTimeout(settle, hopelessMs, wish));
    }
  };
  for await (const event of follow(client, kind, { namespace, signal: AbortSignal.any([ending, done.signal]) })) {
    if (event.type === "listed") for (const name of byName.keys()) seen.has(name) || judge(name, undefined);
    else {
      seen.add(event.object.metadata.name);
      judge(event.object.metadata.name, event.type === "delete" ? undefined : event.object);
    }
  }
  for (const timer of hopeless.values()) clearTimeout(timer);
}

/** Whether an object is in force, as a wish judges it. `generation` is the one that is meant. */
export function isInForce(object: ApiObject | undefined, generation = 0): true | string | Error {
  if (object === undefined) return "it is not there";
  if ((object.metadata.generation ?? 0) < generation) return "the change has not come back yet";
  const standing = standingOf(object);
  if (standing === undefined || standing.state === "in force") return true;
  return standing.state === "pending" ? standing.message : cliError("WEFT-L-NOT-IN-FORCE", `${standing.reason}: ${standing.message}`);
}

/** Waits until what was applied is in force on every proxy. Answers the exit code. */
export async function untilInForce(client: ResourceClient, applied: readonly Applied[], seconds: number): Promise<number> {
  const wishes = applied
    .filter(({ object }) => standingOf(object) !== undefined)
    .map(({ wanted: { kind }, object: { metadata } }): Wish => {
      const { name, namespace, generation } = metadata;
      return { kind, name, namespace, judge: (object) => isInForce(object, generation) };
    });
  const open = await waitFor(client, wishes, seconds, `Waiting for ${counted(wishes.length, "object")} to be in force`);
  return sayOpen(open, `to be in force`, seconds);
}

/** Says what was waited for in vain. Answers the exit code. */
export function sayOpen(open: ReadonlyMap<Wish, string | Error>, what: string, seconds: number): number {
  for (const [{ kind, name }, missing] of open) {
    const title = shownObject(kind, name);
    const hint = `\`weft describe ${title}\` says more.`;
    if (missing instanceof Error) complain(cliError("WEFT-L-NOT-IN-FORCE", `${title} is not in force: ${missing.message}`, hint));
    else complain(cliError("WEFT-L-WAIT-TIMEOUT", `${title} was waited for ${what} for ${seconds} s: ${missing}`, hint));
  }
  return open.size === 0 ? 0 : 1;
}

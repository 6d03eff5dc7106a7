import { ResourceClient, socketTransport } from "@weft/client";
import { usageError } from "../errors.ts";
import type { ResourceOptions } from "../resources/options.ts";
import { type Purpose, parseCondition, wishFor } from "../resources/purpose.ts";
import { parseTargets, shownObject, type Target } from "../resources/targets.ts";
import { sayOpen, waitFor } from "../resources/waiting.ts";
import { namespaceOf } from "./get.ts";

/** What follows `weft wait` on the command line. */
export interface WaitOptions extends ResourceOptions {
  for?: string;
  /** Seconds. */
  timeout: number;
}

/** Waits until objects are as they are to be. Answers the exit code. */
export async function wait(args: string[], options: WaitOptions): Promise<number> {
  const example = "weft wait httproute/users --for condition=Accepted";
  const targets = parseTargets(args, example);
  if (targets.some(({ name }) => name === undefined)) throw usageError("What is waited for has no name.", `For example: ${example}`);
  const purpose = parseCondition(options.for);
  const client = new ResourceClient(socketTransport(options.state));
  const wishes = (targets as Required<Target>[]).map(({ kind, name }) =>
    wishFor(purpose, { kind, name, namespace: namespaceOf(kind, options) }),
  );
  const open = await waitFor(client, wishes, options.timeout, `Waiting for ${named(targets as Required<Target>[])} ${words(purpose)}`);
  for (const wish of wishes) if (!open.has(wish)) process.stdout.write(`${shownObject(wish.kind, wish.name)} ${done(purpose)}\n`);
  return sayOpen(open, words(purpose), options.timeout);
}

const named = (targets: readonly Required<Target>[]) => targets.map(({ kind, name }) => shownObject(kind, name)).join(", ");

function words(purpose: Purpose): string {
  if (purpose.for === "condition") return `to have ${purpose.type}=${purpose.status}`;
  return { delete: "to be deleted", create: "to be there", force: "to be in force" }[purpose.for];
}

function done(purpose: Purpose): string {
  if (purpose.for === "condition") return `has ${purpose.type}=${purpose.status}`;
  return { delete: "is gone", create: "is there", force: "is in force" }[purpose.for];
}

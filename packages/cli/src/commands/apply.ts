import { isWarning, kinds } from "@weft/api/kinds";
import { defaultNamespace, type WeftError } from "@weft/api/light";
import { ResourceClient, socketTransport } from "@weft/client";
import { cliError } from "../errors.ts";
import { counted } from "../numbers.ts";
import { complain, say } from "../output.ts";
import { readDocuments } from "../resources/documents.ts";
import type { DocumentOptions, ObjectFormat } from "../resources/options.ts";
import { type Verb, type Wanted, wantedObjects } from "../resources/plan.ts";
import { printObjects } from "../resources/print.ts";
import { problemError } from "../resources/problems.ts";
import { type Applied, type Outcome, plan, send, tryOut } from "../resources/send.ts";
import { shownObject } from "../resources/targets.ts";
import { untilInForce } from "../resources/waiting.ts";
import { progress } from "../terminal.ts";

/** What follows `weft apply` on the command line. */
export interface ApplyOptions extends DocumentOptions {
  output: ObjectFormat;
  dryRun: boolean;
  wait: boolean;
  /** Seconds. */
  timeout: number;
}

/** Makes what is there what documents say. Answers the exit code. */
export async function apply(options: ApplyOptions): Promise<number> {
  const wanted = await readWanted(options, "apply");
  if (wanted === undefined) return 1;
  const client = new ResourceClient(socketTransport(options.state));
  const steps = await plan(client, wanted);
  const changes = counted(steps.filter(({ verb }) => verb !== "none").length, "change");
  const tell = (applied: Applied) => options.output === "table" && process.stdout.write(`${said(applied, options.dryRun)}\n`);
  const finish = (applied: readonly Applied[]) =>
    options.output === "table"
      ? undefined
      : printObjects(
          options.output,
          applied.map(({ wanted: { kind }, object }) => ({ kind, object })),
        );

  // The API changes one object at a time. So that all are changed or none, it is asked about all of them first.
  if (options.dryRun || steps.length > 1) {
    const { done, errors } = await during(`Checking ${changes}`, tryOut(client, steps));
    for (const error of errors) complain(error);
    if (errors.length > 0) {
      say("Nothing was changed.");
      return 1;
    }
    if (options.dryRun) {
      done.forEach(tell);
      await finish(done);
      return 0;
    }
  }
  const outcome = await during(`Making ${changes}`, send(client, steps, tell));
  if (outcome.failed.length > 0) return sayUnfinished(outcome);
  await finish(outcome.done);
  return options.wait ? untilInForce(client, outcome.done, options.timeout) : 0;
}

function during<Result>(text: string, work: Promise<Result>): Promise<Result> {
  return work.finally(progress(text));
}

const verbs: Record<Verb, string> = { create: "created", configure: "configured", none: "unchanged" };

function said({ wanted: { kind, object }, verb }: Applied, isDryRun: boolean): string {
  return `${shownObject(kind, object.metadata.name)} ${verbs[verb]}${isDryRun ? " (dry run)" : ""}`;
}

/** Documents as objects that are wanted; undefined when something is wrong with one, and all of that is said then. */
export async function readWanted(options: DocumentOptions, command: string): Promise<Wanted[] | undefined> {
  const { resources, problems, failures } = await readDocuments(options, command, options.namespace);
  const errors: WeftError[] = [...failures, ...problems.map(problemError)];
  for (const { kind, title, file, line } of resources) {
    if (kind.readOnly)
      errors.push(cliError("WEFT-L-KIND-READ-ONLY", `${file}:${line}: ${title}: ${kind.plural} are written by the controller alone.`));
  }
  for (const error of errors) complain(error);
  if (errors.length > problems.filter(isWarning).length) {
    say("Nothing was sent.");
    return undefined;
  }
  return wantedObjects(resources, kinds, options.namespace, defaultNamespace);
}

function sayUnfinished({ done, failed, left }: Outcome): number {
  for (const { error } of failed) complain(error);
  const made = done.filter(({ verb }) => verb !== "none");
  const others = [...failed.map(({ wanted }) => wanted), ...left].map(({ kind, object }) => shownObject(kind, object.metadata.name));
  const shown = others.length > 10 ? [...others.slice(0, 10), `${others.length - 10} more`] : others;
  say(
    `${counted(made.length, "change")} ${made.length === 1 ? "was" : "were"} made before that. Not made: ${shown.join(", ")}. Apply again once it is mended: what is done already stays as it is.`,
  );
  return 1;
}

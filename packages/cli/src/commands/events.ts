import type { Kind } from "@weft/api/kinds";
import { type Followed, follow, ResourceClient, socketTransport } from "@weft/client";
import { endOnSignals } from "../ending.ts";
import { age, nothing } from "../numbers.ts";
import { type Format, print, say, yaml } from "../output.ts";
import type { ResourceOptions } from "../resources/options.ts";
import { parseTargets, type Target } from "../resources/targets.ts";
import { byTime, happened, type ObjectEvent, pastOf } from "../resources/timeline.ts";
import { type Column, escapeControls, table } from "../terminal.ts";
import { namespaceOf } from "./get.ts";
import { jsonLine } from "./watch.ts";

/** What follows `weft events` on the command line. */
export interface EventsOptions extends ResourceOptions {
  output: Format;
  allNamespaces: boolean;
  watch: boolean;
}

/** Shows what happened to objects, as they tell it themselves, and with `watch` what happens. Answers the exit code. */
export async function events(args: string[], options: EventsOptions): Promise<number> {
  const targets = parseTargets(args.length === 0 ? ["all"] : args, "weft events httproute/users");
  const client = new ResourceClient(socketTransport(options.state));
  if (options.watch) return watchEvents(client, targets, options);
  const past = await Promise.all(
    targets.map(async ({ kind, name }) => {
      const { items } = await client.list(kind, selectionOf(kind, options));
      return items.filter(({ metadata }) => name === undefined || metadata.name === name).flatMap((object) => pastOf(kind, object));
    }),
  );
  const all = past.flat().sort(byTime);
  if (all.length === 0 && options.output === "table") say("Nothing happened: there are no such objects.");
  else await print(options.output, all, () => table(columnsOf(options), all));
  return 0;
}

const selectionOf = (kind: Kind, options: EventsOptions) => ({
  namespace: options.allNamespaces ? undefined : namespaceOf(kind, options),
});

function columnsOf({ allNamespaces }: EventsOptions): Column<ObjectEvent>[] {
  const now = Date.now();
  return [
    { heading: "AGO", cell: ({ at }) => age(Date.parse(at), now), align: "right" },
    ...(allNamespaces ? [{ heading: "NAMESPACE", cell: ({ namespace }: ObjectEvent) => namespace ?? nothing }] : []),
    { heading: "OBJECT", cell: ({ object }) => object },
    { heading: "WHAT", cell: ({ message }) => message, colour: ({ message }) => (message.startsWith("not ") ? "red" : undefined) },
  ];
}

async function watchEvents(client: ResourceClient, targets: readonly Target[], options: EventsOptions): Promise<number> {
  const ending = endOnSignals();
  let isAway = false;
  const onLost = () => {
    if (!isAway) say("The controller does not answer. Waiting for it.");
    isAway = true;
  };
  const one = async ({ kind, name }: Target) => {
    let isListed = false;
    for await (const event of follow(client, kind, { ...selectionOf(kind, options), signal: ending, onLost })) {
      isAway = false;
      if (event.type === "listed") isListed = true;
      else if (isListed && (name === undefined || event.object.metadata.name === name))
        for (const each of told(kind, event)) await show(each, options);
    }
  };
  await Promise.all(targets.map(one));
  return ending.reason as number;
}

function told(kind: Kind, event: Exclude<Followed, { type: "listed" }>): ObjectEvent[] {
  const now = new Date().toISOString();
  return event.type === "delete" ? happened(kind, event.object, undefined, now) : happened(kind, event.before, event.object, now);
}

async function show(event: ObjectEvent, { output, allNamespaces }: EventsOptions): Promise<void> {
  const { at, namespace = nothing, object, message } = event;
  if (output === "json") process.stdout.write(jsonLine(event));
  else if (output === "yaml") process.stdout.write(`---\n${await yaml(event)}`);
  else
    process.stdout.write(`${[at.slice(11, 19), ...(allNamespaces ? [namespace] : []), object, message].map(escapeControls).join("  ")}\n`);
}

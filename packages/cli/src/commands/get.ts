import type { Kind } from "@weft/api/kinds";
import { defaultNamespace } from "@weft/api/light";
import { type ApiObject, follow, ResourceClient, type Selection, socketTransport } from "@weft/client";
import { endOnSignals } from "../ending.ts";
import { usageError } from "../errors.ts";
import { complain, say, yaml } from "../output.ts";
import { columnsOf } from "../resources/columns.ts";
import { missingObject } from "../resources/missing.ts";
import type { ObjectFormat, ResourceOptions } from "../resources/options.ts";
import { type Found, printObjects } from "../resources/print.ts";
import { lookUp } from "../resources/send.ts";
import { parseTargets, shownObject, type Target } from "../resources/targets.ts";
import { table } from "../terminal.ts";
import { jsonLine } from "./watch.ts";

/** What follows `weft get` on the command line. */
export interface GetOptions extends ResourceOptions {
  output: ObjectFormat;
  allNamespaces: boolean;
  selector?: string;
  watch: boolean;
}

/** Shows objects. Answers the exit code. */
export async function get(args: string[], options: GetOptions): Promise<number> {
  const targets = parseTargets(args, "weft get httproutes");
  const client = new ResourceClient(socketTransport(options.state));
  if (options.watch) return watchObjects(client, targets, options);
  const found: Found[] = [];
  let missing = 0;
  for (const { kind, name } of targets) {
    if (name === undefined) {
      const { items } = await client.list(kind, selectionOf(kind, options));
      found.push(...items.sort(byName).map((object) => ({ kind, object })));
      continue;
    }
    const namespace = namespaceOf(kind, options);
    const object = await lookUp(client, kind, { name, namespace });
    if (object !== undefined) found.push({ kind, object });
    else {
      missing += 1;
      complain(await missingObject(client, kind, name, namespace));
    }
  }
  const isList = targets.length > 1 || targets[0]?.name === undefined;
  const isData = options.output === "json" || options.output === "yaml";
  if (found.length > 0 || (isData && missing === 0)) await printObjects(options.output, found, () => tables(found, options), isList);
  else if (missing === 0) say(nothingFound(targets, options));
  return missing === 0 ? 0 : 1;
}

const byName = (a: ApiObject, b: ApiObject) => {
  const [left, right] = [a, b].map(({ metadata: { namespace = "", name } }) => `${namespace}/${name}`) as [string, string];
  return left < right ? -1 : 1;
};

/** A table a kind. */
function tables(found: readonly Found[], { output, allNamespaces }: GetOptions): string[] {
  const groups = [...Map.groupBy(found, ({ kind }) => kind)];
  return groups.flatMap(([kind, group], index) => {
    const columns = columnsOf(kind, { isWide: output === "wide", hasNamespace: allNamespaces && kind.namespaced, now: Date.now() });
    const lines = table(
      columns,
      group.map(({ object }) => object),
    );
    const heading = groups.length > 1 ? [`${index > 0 ? "\n" : ""}${kind.plural}`] : [];
    return [...heading, ...lines];
  });
}

function nothingFound(targets: readonly Target[], { allNamespaces, namespace = defaultNamespace, selector }: GetOptions): string {
  const kinds = targets.map(({ kind }) => kind.plural);
  const what = kinds.length > 3 ? "objects" : kinds.join(", ");
  const isAnywhere = allNamespaces || targets.every(({ kind }) => !kind.namespaced);
  const place = isAnywhere ? "" : ` in namespace ${namespace}`;
  return `There are no ${what}${selector === undefined ? "" : ` with ${selector}`}${place}.${isAnywhere ? "" : " `-A` looks in all."}`;
}

/** The namespace in which a command looks; undefined for all, and for kinds that are in none. */
export function namespaceOf(kind: Kind, { namespace }: ResourceOptions): string | undefined {
  return kind.namespaced ? (namespace ?? defaultNamespace) : undefined;
}

function selectionOf(kind: Kind, options: GetOptions): Selection {
  return { namespace: options.allNamespaces ? undefined : namespaceOf(kind, options), labelSelector: options.selector };
}

/** Shows objects and each change of them, until a signal. */
async function watchObjects(client: ResourceClient, targets: readonly Target[], options: GetOptions): Promise<number> {
  const [target, ...others] = targets;
  if (target === undefined || others.some(({ kind }) => kind !== target.kind))
    throw usageError("Only objects of one kind can be watched.", "`weft events -w` shows what happens to all of them.");
  const { kind } = target;
  const names = targets.flatMap(({ name }) => name ?? []);
  const ending = endOnSignals();
  const lines = new LastingTable(kind, options);
  const onLost = () => say("The controller does not answer. Waiting for it.");
  for await (const event of follow(client, kind, { ...selectionOf(kind, options), signal: ending, onLost })) {
    if (event.type === "listed") lines.begin();
    else if (names.length === 0 || names.includes(event.object.metadata.name)) await lines.show(event.object, event.type === "delete");
  }
  return ending.reason as number;
}

/** A table to which lines are added, as wide as what it began with. */
class LastingTable {
  readonly #kind: Kind;
  readonly #options: GetOptions;
  readonly #first: ApiObject[] = [];
  #widths: number[] | undefined;

  constructor(kind: Kind, options: GetOptions) {
    this.#kind = kind;
    this.#options = options;
  }

  /** What was there at first is all known. */
  begin(): void {
    if (this.#options.output !== "table" && this.#options.output !== "wide") return;
    this.#widths = [];
    this.#write(this.#first.sort(byName), true);
  }

  async show(object: ApiObject, isGone: boolean): Promise<void> {
    const { output } = this.#options;
    if (output === "json") process.stdout.write(jsonLine(object));
    else if (output === "yaml") process.stdout.write(`---\n${await yaml(object)}`);
    else if (output === "name") process.stdout.write(`${shownObject(this.#kind, object.metadata.name)}\n`);
    else if (this.#widths === undefined) this.#first.push(object);
    else if (isGone) process.stdout.write(`${shownObject(this.#kind, object.metadata.name)} deleted\n`);
    else this.#write([object], false);
  }

  #write(objects: readonly ApiObject[], hasHeading: boolean): void {
    const { output, allNamespaces } = this.#options;
    const hasNamespace = allNamespaces && this.#kind.namespaced;
    const columns = columnsOf(this.#kind, { isWide: output === "wide", hasNamespace, now: Date.now() });
    const widths = this.#widths ?? [];
    for (const [index, column] of columns.entries())
      widths[index] = Math.max(widths[index] ?? 0, column.heading.length, ...objects.map((object) => column.cell(object).length));
    // Every cell as wide as the widest so far.
    const steady = columns.map((column, index) => ({ ...column, heading: column.heading.padEnd(widths[index] ?? 0) }));
    const lines = table(steady, [...objects]);
    process.stdout.write(`${(hasHeading ? lines : lines.slice(1)).join("\n")}${objects.length > 0 || hasHeading ? "\n" : ""}`);
  }
}

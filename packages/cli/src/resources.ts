import { type Command, Option } from "commander";
import type { ApplyOptions } from "./commands/apply.ts";
import type { DeleteOptions } from "./commands/delete.ts";
import type { DescribeOptions } from "./commands/describe.ts";
import type { EventsOptions } from "./commands/events.ts";
import type { ExplainOptions } from "./commands/explain.ts";
import type { GetOptions } from "./commands/get.ts";
import type { ValidateOptions } from "./commands/validate.ts";
import type { WaitOptions } from "./commands/wait.ts";
import { define, defineLocal, examples, type Finish, stateOption } from "./define.ts";
import { parseTime } from "./options.ts";
import { type DocumentOptions, objectFormats, type ResourceOptions } from "./resources/options.ts";

/** Defines the commands about resources. */
export function defineResources(weft: Command, finish: Finish): void {
  documents(
    defineObjects(weft, "apply", "Make what is there what documents say: all of them, or none when one is refused.", [
      ["weft apply -f routes.yaml", "create what is not there, change what differs"],
      ["weft apply -R -f mesh/ --wait", "a folder and those below, and wait until it is in force on every proxy"],
      ["weft apply -f - --dry-run", "what standard input would change, without changing it"],
    ]),
  )
    .addOption(objectFormat(objectFormats.filter((format) => format !== "wide")))
    .option("--dry-run", "let the controller check it, and change nothing", false)
    .option("--wait", "wait until it is in force on every proxy that it concerns", false)
    .addOption(timeoutOption())
    .action(async (options: ApplyOptions) => finish(await (await import("./commands/apply.ts")).apply(options)));

  documents(
    defineObjects(weft, "diff", "Show what applying documents would change. Exit code 0: nothing, 1: something, 2: it cannot be said.", [
      ["weft diff -f routes.yaml", "before you apply it"],
      ["weft diff -R -f mesh/ && echo same", "in a script"],
    ]),
  ).action(async (options: DocumentOptions) => finish(await (await import("./commands/diff.ts")).diff(options)));

  defineObjects(weft, "get [kind] [name...]", "Show resources: a kind, some objects of it, or all.", [
    ["weft get httproutes", "all of a kind; `weft explain` lists the kinds"],
    ["weft get httproute users -o yaml", "one, with everything"],
    ["weft get all -A", "everything, in every namespace"],
    ["weft get svc,httproutes -l team=shop", "with a label"],
    ["weft get httproutes -w", "and each change, until Ctrl-C"],
  ])
    .addOption(objectFormat())
    .option("-A, --all-namespaces", "in every namespace", false)
    .option("-l, --selector <labels>", "only those with these labels: team=shop,tier!=web")
    .option("-w, --watch", "go on with each change, until Ctrl-C", false)
    .action(async (kind: string | undefined, names: string[], options: GetOptions) =>
      finish(await (await import("./commands/get.ts")).get(all(kind, names), options)),
    );

  define(weft, "describe [kind] [name...]", "Say what an object is, what came of it, and what happened to it.", [
    ["weft describe httproute/users", "is it in force, and if not, why"],
    ["weft describe httproutes", "all of a kind"],
  ])
    .addOption(namespaceOption())
    .action(async (kind: string | undefined, names: string[], options: DescribeOptions) =>
      finish(await (await import("./commands/describe.ts")).describeObjects(all(kind, names), options)),
    );

  documents(
    defineObjects(weft, "delete [kind] [name...]", "Delete resources, by name or as documents describe them.", [
      ["weft delete httproute users", "by name"],
      ["weft delete -f routes.yaml", "all that a file describes"],
    ]),
  )
    .option("--ignore-not-found", "what is not there is no failure", false)
    .option("--dry-run", "let the controller check it, and delete nothing", false)
    .action(async (kind: string | undefined, names: string[], options: DeleteOptions) =>
      finish(await (await import("./commands/delete.ts")).deleteObjects(all(kind, names), options)),
    );

  defineObjects(weft, "edit [kind] [name]", "Change a resource in your editor: VISUAL, else EDITOR, else vi.", [
    ["weft edit httproute/users", "checked before it is sent; a text that is refused is kept"],
    ["EDITOR='code --wait' weft edit svc users", "in another editor"],
  ]).action(async (kind: string | undefined, name: string | undefined, options: ResourceOptions) =>
    finish(await (await import("./commands/edit.ts")).edit(all(kind, name === undefined ? [] : [name]), options)),
  );

  defineObjects(
    weft,
    "wait [kind] [name...]",
    "Wait until objects are in force on every proxy, or as you say. Exit code 1 when they are not in time.",
    [
      ["weft wait httproute/users", "until it is in force"],
      ["weft wait httproute/users --for condition=ResolvedRefs", "until its status says so"],
      ["weft wait svc/users --for delete --timeout 5m", "until it is gone"],
    ],
  )
    .option("--for <what>", "condition=TYPE, condition=TYPE=False, create or delete (default: in force)")
    .addOption(timeoutOption())
    .action(async (kind: string | undefined, names: string[], options: WaitOptions) =>
      finish(await (await import("./commands/wait.ts")).wait(all(kind, names), options)),
    );

  define(weft, "events [kind] [name]", "Show what happened to resources: created, and since when their status says what it says.", [
    ["weft events", "all of the namespace, newest last"],
    ["weft events -w", "as it happens: what is created, changed from what to what, deleted"],
    ["weft events httproute/users", "of one"],
  ])
    .addOption(namespaceOption())
    .option("-A, --all-namespaces", "in every namespace", false)
    .option("-w, --watch", "show what happens from now on, until Ctrl-C", false)
    .action(async (kind: string | undefined, name: string | undefined, options: EventsOptions) =>
      finish(await (await import("./commands/events.ts")).events(all(kind, name === undefined ? [] : [name]), options)),
    );

  documents(
    defineLocal(weft, "validate", "Check documents of resources, without a controller. Exit code 1 when one would be refused.", [
      ["weft validate -f routes.yaml", "one file"],
      ["weft validate -R -f mesh/", "every .yaml, .yml and .json file in a folder and below"],
      ["kubectl get httproutes -A -o yaml | weft validate -f -", "what standard input says"],
      ["weft validate -f *.yaml -o json", "for programs"],
    ]),
  ).action(async (options: ValidateOptions) => finish(await (await import("./commands/validate.ts")).validate(options)));

  defineLocal(weft, "explain [field]", "Explain a kind of resource, or a field of one.", [
    ["weft explain", "which kinds there are"],
    ["weft explain httproute", "what a kind is for, and its fields"],
    ["weft explain httproute.spec.rules.timeouts", "a field, with types, bounds and defaults"],
  ]).action(async (field: string | undefined, options: ExplainOptions) => (await import("./commands/explain.ts")).explain(field, options));
}

const all = (kind: string | undefined, names: readonly string[]) => (kind === undefined ? [] : [kind, ...names]);

/** A command about objects of a namespace. */
function defineObjects(weft: Command, usage: string, description: string, shown: [string, string][]): Command {
  return weft
    .command(usage)
    .description(description)
    .addHelpText("before", examples(shown))
    .addOption(namespaceOption())
    .addOption(stateOption());
}

/** The documents that a command reads. */
function documents(command: Command): Command {
  return command
    .option("-f, --filename <path...>", "file or folder to read, or - for standard input")
    .option("-R, --recursive", "read the folders within folders too", false);
}

const namespaceOption = () => new Option("-n, --namespace <name>", "namespace (default: that of the document, else default)");

const objectFormat = (formats: readonly string[] = objectFormats) =>
  new Option("-o, --output <format>", "how to print").choices(formats).default("table");

const timeoutOption = () => new Option("--timeout <time>", "how long to wait").argParser(parseTime).default(30, "30s");

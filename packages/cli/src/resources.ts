import type { Command } from "commander";
import type { ExplainOptions } from "./commands/explain.ts";
import type { ValidateOptions } from "./commands/validate.ts";
import { defineLocal, type Finish } from "./define.ts";

/** Defines the commands about resources that need no controller. */
export function defineResources(weft: Command, finish: Finish): void {
  defineLocal(weft, "validate", "Check documents of resources, without a controller. Exit code 1 when one would be refused.", [
    ["weft validate -f routes.yaml", "one file"],
    ["weft validate -R -f mesh/", "every .yaml, .yml and .json file in a folder and below"],
    ["kubectl get httproutes -A -o yaml | weft validate -f -", "what standard input says"],
    ["weft validate -f *.yaml -o json", "for programs"],
  ])
    .option("-f, --filename <path...>", "file or folder to read, or - for standard input")
    .option("-R, --recursive", "read the folders within folders too", false)
    .action(async (options: ValidateOptions) => finish(await (await import("./commands/validate.ts")).validate(options)));

  defineLocal(weft, "explain [field]", "Explain a kind of resource, or a field of one.", [
    ["weft explain", "which kinds there are"],
    ["weft explain httproute", "what a kind is for, and its fields"],
    ["weft explain httproute.spec.rules.timeouts", "a field, with types, bounds and defaults"],
  ]).action(async (field: string | undefined, options: ExplainOptions) => (await import("./commands/explain.ts")).explain(field, options));
}

import { groupings } from "@weft/api/light";
import { type Command, Option } from "commander";
import type { StatOptions } from "./commands/stat.ts";
import { parseTime } from "./options.ts";
import type { Common, Define, Finish } from "./program.ts";

/** Defines the commands by which people see what happens. */
export function defineSeeing(weft: Command, define: Define, finish: Finish): void {
  define(weft, "stat [target]", "Show the success rate, rate and latency of calls, by service, workload, route or edge.", [
    ["weft stat", "the calls that each service answered in the last minute"],
    ["weft stat users --by workload --window 10s", "each instance of a service, last ten seconds"],
    ["weft stat --by edge --window 1h --watch", "who calls whom, as it goes"],
    ["weft stat --by route --from web", "what web calls, by route and method"],
    ["weft stat -o json", "exact numbers, by status class, with totals"],
  ])
    .addOption(new Option("--by <what>", "a row for each (default: service)").choices(groupings))
    .option("--from <service>", "only calls of this service")
    .option("--to <service>", "only calls to this service; without --from the numbers are the callers'")
    .addOption(new Option("--window <time>", "how far to look back, at most 12h (default: 60s)").argParser(parseTime))
    .option("--watch", "go on, once a second, until Ctrl-C", false)
    .action(async (target: string | undefined, options: StatOptions) =>
      finish(await (await import("./commands/stat.ts")).stat(target, options)),
    );

  define(weft, "edges", "Show who calls whom, by which identities, and who was refused.", [
    ["weft edges", "last minute"],
    ["weft edges --window 5m", "last five minutes"],
  ])
    .addOption(windowOption())
    .action(async (options: Common & { window: number }) => (await import("./commands/edges.ts")).edges(options));
}

function windowOption(): Option {
  return new Option("--window <time>", "how far to look back, at most 12h").argParser(parseTime).default(60, "60s");
}
